//! The programs that a model wrote for a strategy, run where the system can.

use mathesis_reasoning::suites::{Procedure, Record, Settings, Strategy};

use crate::failure::Failure;

/// What runs programs.
pub struct Programs {
    #[cfg(target_os = "linux")]
    python: mathesis_reasoning::tools::python::Python,
}

impl Programs {
    /// For a strategy; `None` if it asks for no programs. A sandbox that is missing is said now.
    ///
    /// # Errors
    /// On systems where no program can be run.
    pub fn of(strategy: &Strategy, settings: &Settings, quiet: bool) -> Result<Option<Self>, Failure> {
        match strategy.procedure {
            Procedure::Program => Programs::new(settings, quiet).map(Some),
            Procedure::Reply | Procedure::Completion | Procedure::Options | Procedure::Dialogue(_) => {
                Ok(None)
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn new(settings: &Settings, quiet: bool) -> Result<Self, Failure> {
        let python = mathesis_reasoning::suites::program::interpreter(settings);
        if let Err(missing) = python.check_python3()
            && !quiet
        {
            eprintln!("note: programs that need python3 will count as not run: {missing}");
        }
        Ok(Programs { python })
    }

    #[cfg(not(target_os = "linux"))]
    fn new(_: &Settings, _: bool) -> Result<Self, Failure> {
        Err(Failure::input("the strategy `program` runs programs, which is done on Linux alone"))
    }

    /// Runs the programs of a record that were not run before.
    #[cfg(target_os = "linux")]
    pub fn run(&self, record: &mut Record) {
        mathesis_reasoning::suites::program::run(record, &self.python);
    }

    /// Runs the programs of a record that were not run before.
    #[cfg(not(target_os = "linux"))]
    pub fn run(&self, _: &mut Record) {}
}

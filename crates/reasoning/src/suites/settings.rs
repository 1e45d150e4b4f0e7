//! What can be set for a run, checked before anything is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Procedure, Strategy};
use crate::answers::Mode;
use crate::models::Sampling;

/// Something that can be set.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name.
    pub key: &'static str,
    /// Its value where none is given; empty: nothing.
    pub default: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What it is.
    pub about: &'static str,
}

/// What values a setting takes.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A number in a range.
    Number(f64, f64),
    /// A whole number in a range.
    Whole(u64, u64),
    /// One of these.
    One(Vec<&'static str>),
    /// Some of these, with commas between them.
    Some(Vec<&'static str>),
}

/// The settings of all suites.
pub(super) fn common() -> Vec<Setting> {
    let modes = Mode::ALL.iter().map(|mode| mode.name()).collect();
    let setting = |key, default, kind, about| Setting { key, default, kind, about };
    vec![
        setting("mode", "strict", Kind::One(modes), "the rules by which answers are found and compared"),
        setting(
            "budget",
            "1000",
            Kind::Whole(1, 60_000),
            "the time for one comparison in the strict mode, in milliseconds",
        ),
        setting("shots", "8", Kind::Whole(0, 100), "exemplars in few-shot prompts"),
        setting("template", "", Kind::Text, "a file with a prompt template, instead of the strategy's"),
        setting("system", "", Kind::Text, "a system message before the prompt"),
        setting("temperature", "", Kind::Number(0.0, 10.0), "sampling temperature"),
        setting("top-p", "", Kind::Number(0.0, 1.0), "sampling from the likeliest tokens"),
        setting("max-tokens", "2048", Kind::Whole(1, 1_000_000), "the longest reply, in tokens"),
        setting("stop", "", Kind::Text, "a text at which replies end"),
    ]
}

/// Those of a suite: the common ones, with its own defaults where it has any, its own, and those of its strategies.
pub(super) fn of(own: &[Setting], strategies: &[Strategy]) -> Vec<Setting> {
    let is_own = |setting: &Setting| own.iter().any(|other| other.key == setting.key);
    let mut known: Vec<Setting> = common().into_iter().filter(|setting| !is_own(setting)).collect();
    known.extend(own.iter().cloned());
    if strategies.iter().any(|strategy| matches!(strategy.procedure, Procedure::Program)) {
        known.extend(programs());
    }
    known
}

/// What a program that a model wrote may use.
fn programs() -> Vec<Setting> {
    let setting = |key, default, kind, about| Setting { key, default, kind, about };
    vec![
        setting(
            "python",
            "",
            Kind::Text,
            "the python3 of programs, such as one with SymPy; else /usr/bin/python3",
        ),
        setting("seconds", "10", Kind::Whole(1, 3600), "the time of a program, in seconds"),
        setting("memory", "1024", Kind::Whole(64, 65_536), "the memory of a program, in MiB"),
    ]
}

/// Settings with their values.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
}

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No setting has this name.
    #[error("there is no setting `{key}`; {hint}")]
    Unknown {
        /// The name.
        key: String,
        /// The nearest name, and all names.
        hint: String,
    },
    /// The value is not one that the setting takes.
    #[error("{key}={value}: expected {expected}")]
    Value {
        /// The setting.
        key: String,
        /// The value.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// Set twice.
    #[error("`{0}` is set twice")]
    Twice(String),
}

/// The name that was probably meant by one that is not known, and all names.
pub(super) fn hint(given: &str, known: &[&str]) -> String {
    let near = known.iter().map(|name| (strsim::jaro_winkler(name, given), name));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, name)) if likeness > 0.75 => {
            format!("did you mean `{name}`? There are {}", known.join(", "))
        }
        _ => format!("there are {}", known.join(", ")),
    }
}

impl Settings {
    /// Those given, and defaults for the rest.
    pub fn new(known: &[Setting], given: &[(String, String)]) -> Result<Self, SettingError> {
        let mut values = BTreeMap::new();
        for (key, value) in given {
            let setting = known.iter().find(|setting| setting.key == key).ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(|setting| setting.key).collect();
                SettingError::Unknown { key: key.clone(), hint: hint(key, &names) }
            })?;
            let expected = check(&setting.kind, value);
            if let Some(expected) = expected {
                return Err(SettingError::Value { key: key.clone(), value: value.clone(), expected });
            }
            if values.insert(setting.key, value.clone()).is_some() {
                return Err(SettingError::Twice(key.clone()));
            }
        }
        for setting in known {
            values.entry(setting.key).or_insert_with(|| setting.default.to_string());
        }
        Ok(Settings { values })
    }

    /// The value of a setting; empty where there is none.
    pub fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    /// The values of a setting that takes several.
    pub fn list(&self, key: &str) -> Vec<&str> {
        self.get(key).split(',').map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// All settings with their values.
    pub fn values(&self) -> &BTreeMap<&'static str, String> {
        &self.values
    }

    /// The rules by which answers are judged.
    pub fn mode(&self) -> Mode {
        Mode::from_name(self.get("mode")).unwrap_or(Mode::Strict)
    }

    /// The time for one comparison.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.get("budget").parse().unwrap_or(1000))
    }

    /// The number of exemplars in few-shot prompts.
    pub fn shots(&self) -> usize {
        self.get("shots").parse().unwrap_or(0)
    }

    /// How the model is to write.
    pub fn sampling(&self, seed: Option<u64>) -> Sampling {
        let stop = self.get("stop");
        Sampling {
            temperature: self.get("temperature").parse().ok(),
            top_p: self.get("top-p").parse().ok(),
            max_tokens: self.get("max-tokens").parse().ok(),
            stop: if stop.is_empty() { Vec::new() } else { vec![stop.to_string()] },
            seed,
            ..Sampling::default()
        }
    }
}

/// What is expected, if the value is not.
fn check(kind: &Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Text => None,
        Kind::Number(low, high) => {
            let fits = value.parse().is_ok_and(|value: f64| (*low..=*high).contains(&value));
            (!fits).then(|| format!("a number from {low} to {high}"))
        }
        Kind::Whole(low, high) => {
            let fits = value.parse().is_ok_and(|value: u64| (*low..=*high).contains(&value));
            (!fits).then(|| format!("a whole number from {low} to {high}"))
        }
        Kind::One(known) => (!known.contains(&value)).then(|| format!("one of {}", known.join(", "))),
        Kind::Some(known) => {
            let mut parts = value.split(',').map(str::trim);
            (!parts.all(|part| known.contains(&part)))
                .then(|| format!("some of {}, with commas between them", known.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(given: &[(&str, &str)]) -> Result<Settings, String> {
        let given: Vec<(String, String)> =
            given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Settings::new(&common(), &given).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_checked_and_near_names_shown() {
        let settings = set(&[("temperature", "0.7"), ("mode", "gsm8k"), ("stop", "\n\n")]).unwrap();
        let sampling = settings.sampling(Some(3));
        assert_eq!((settings.mode(), settings.shots()), (Mode::Gsm8k, 8));
        assert_eq!(
            (sampling.temperature, sampling.top_p, sampling.max_tokens),
            (Some(0.7), None, Some(2048))
        );
        assert_eq!((sampling.stop, sampling.seed), (vec!["\n\n".to_string()], Some(3)));
        for (key, value, expected) in [
            ("temprature", "1", "did you mean `temperature`?"),
            ("zzz", "1", "there are mode, budget, shots"),
            ("temperature", "hot", "a number from 0 to 10"),
            ("temperature", "NaN", "a number from 0 to 10"),
            ("shots", "-1", "a whole number from 0 to 100"),
            ("mode", "strickt", "one of strict"),
        ] {
            let message = set(&[(key, value)]).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        assert!(set(&[("mode", "strict"), ("mode", "strict")]).unwrap_err().contains("twice"));
    }
}

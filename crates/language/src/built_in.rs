//! The model that comes with the program: small, for arithmetic and algebra in words as
//! [`word_problems`](crate::data::word_problems) makes them. `experiments/built-in-model` tells how it was trained and what it can do.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::folder::FolderError;

/// The name under which it is known.
pub const NAME: &str = "built-in";

const FILES: [(&str, &[u8]); 6] = [
    ("chat_template.jinja", include_bytes!("../built-in/chat_template.jinja")),
    ("config.json", include_bytes!("../built-in/config.json")),
    ("generation_config.json", include_bytes!("../built-in/generation_config.json")),
    ("model.safetensors", include_bytes!("../built-in/model.safetensors")),
    ("tokenizer.json", include_bytes!("../built-in/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../built-in/tokenizer_config.json")),
];

/// Its folder, which is there until this is dropped.
#[derive(Debug)]
pub struct BuiltIn {
    _parent: TempDir,
    folder: PathBuf,
}

impl BuiltIn {
    /// Lay its files into a temporary folder, from which it is read like any other model.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn unpack() -> Result<Self, FolderError> {
        let failed = |path: &Path, error| FolderError::File {
            action: "unpack the built-in model in",
            path: path.to_path_buf(),
            error,
        };
        let parent = tempfile::Builder::new()
            .prefix("mathesis-")
            .tempdir()
            .map_err(|error| failed(&std::env::temp_dir(), error))?;
        let folder = parent.path().join(NAME);
        std::fs::create_dir(&folder).map_err(|error| failed(&folder, error))?;
        for (name, content) in FILES {
            let path = folder.join(name);
            std::fs::write(&path, content).map_err(|error| failed(&path, error))?;
        }
        Ok(BuiltIn { _parent: parent, folder })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use burn::tensor::Device;

    use super::*;
    use crate::data::Side;
    use crate::data::word_problems::word_problem;
    use crate::folder::Checkpoint;
    use crate::generation::{Request, generate};
    use crate::text::Message;

    #[test]
    fn answers_problems_that_it_was_not_trained_on() {
        let built_in = BuiltIn::unpack().unwrap();
        let device = Device::flex();
        let checkpoint = Checkpoint::read(built_in.folder(), &device).unwrap();
        assert!(checkpoint.model.config().parameters() <= 6_000_000);
        let (tokenizer, chat) = (checkpoint.tokenizer.unwrap(), checkpoint.chat.unwrap());
        let problems: Vec<_> = (0..30).map(|number| word_problem(2, Side::Test, number)).collect();
        let prompts: Vec<_> = problems
            .iter()
            .map(|problem| {
                let message = Message { role: "user".into(), content: problem.question.clone() };
                let text = chat.render(&[message], true).unwrap();
                tokenizer.encode(&text, false).unwrap()
            })
            .collect();
        let request = Request { end: checkpoint.generation.end, ..Request::default() };
        let answers = generate(&checkpoint.model, &tokenizer, &prompts, &request, &device, &mut |_, _, _| {
            ControlFlow::Continue(())
        })
        .unwrap();
        let right = problems.iter().zip(&answers).filter(|(problem, answers)| {
            answers[0].text.trim_end().ends_with(&format!("Answer: {}", problem.answer))
        });
        // Of 1,000 such problems it answers 41 %; see its experiment.
        assert!(right.count() >= 8);
    }

    #[test]
    fn the_folder_goes_with_its_owner() {
        let built_in = BuiltIn::unpack().unwrap();
        let folder = built_in.folder().to_path_buf();
        assert!(folder.ends_with(NAME) && folder.is_dir());
        drop(built_in);
        assert!(!folder.exists());
    }
}

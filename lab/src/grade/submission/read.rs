//! Reads a submission file. Every error names the file and the line.

use super::file::Submission;
use super::rules;
use std::path::Path;
use toystore::error::{Error, Result};
use toystore::text;

impl Submission {
    /// Reads a submission file.
    pub fn read(file: &Path) -> Result<Submission> {
        let text = text::read(file).map_err(|e| Error::storage(file, "cannot read it", e))?;
        let mut submission = Submission::parse(&text, &file.display().to_string())?;
        if submission.name.is_empty() {
            let stem = file.file_stem().unwrap_or_default();
            submission.name = stem.to_string_lossy().into_owned();
        }
        let directory = file.parent().unwrap_or(Path::new("")).join(&submission.directory);
        submission.directory =
            directory.canonicalize().map_err(|e| Error::storage(&directory, "cannot use it", e))?;
        Ok(submission)
    }

    /// Parses the text of a file of this name, and checks what must hold between its entries.
    pub fn parse(text: &str, file: &str) -> Result<Submission> {
        let error = |at: usize, why: String| {
            let line = text::line_at(text.as_bytes(), at);
            Error::Config { place: format!("{file}, line {line}"), why }
        };
        let mut submission: Submission = toml::from_str(text).map_err(|e| {
            let why = e.message().lines().collect::<Vec<_>>().join(" ");
            error(e.span().map_or(0, |span| span.start), why)
        })?;
        let at = submission.api.span().start;
        submission.api.as_mut().complete().map_err(|why| error(at, why))?;
        rules::check(&submission).map_err(|(at, why)| error(at, why))?;
        Ok(submission)
    }
}

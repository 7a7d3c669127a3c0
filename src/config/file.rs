//! Reads the TOML file. Each table is a section. A table `[order.N]` adds replica N; if there is any
//! such table, the default replicas are removed. A table `[frontend.N]` adds front-end N, and `[catalog.N]` catalog N. Every error names the
//! file and the line.

use super::keys;
use super::settings::{Config, Instance};
use crate::error::{Error, Result};
use crate::text;
use std::borrow::Cow;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads `file` into `config`; `place` is the flag or variable that named the file.
pub(super) fn read(file: &Path, place: &str, config: &mut Config) -> Result<()> {
    let text = text::read(file).map_err(|error| Error::Config {
        place: place.to_owned(),
        why: format!("cannot read {}: {error}", file.display()),
    })?;
    parse(&text, &file.display().to_string(), config)
}

/// Reads the text of a file of this name into `config`.
pub(super) fn parse(text: &str, file: &str, config: &mut Config) -> Result<()> {
    let mut reader = Reader { text, file, config };
    let table = DeTable::parse(text).map_err(|error| {
        // The parser's message may have several lines; a log line is one line.
        let why = error.message().lines().collect::<Vec<_>>().join(" ");
        reader.error(error.span().map_or(text.len(), |span| span.start), why)
    })?;
    reader.root(table.get_ref())
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    config: &'a mut Config,
}

type Name<'a> = Spanned<Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn root(&mut self, table: &DeTable<'_>) -> Result<()> {
        for (name, value) in table {
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("order", DeValue::Table(order)) => {
                    if order.values().any(|value| value.get_ref().is_table()) {
                        self.config.order.replicas.clear();
                    }
                    self.instances("order", "replica", 1, order)?;
                }
                ("frontend", DeValue::Table(frontend)) => {
                    self.instances("frontend", "front-end", 2, frontend)?;
                }
                ("catalog", DeValue::Table(catalog)) => {
                    self.instances("catalog", "catalog", 2, catalog)?;
                }
                (section, DeValue::Table(table)) => {
                    self.known(section, name)?;
                    for (name, value) in table {
                        self.set(section, name, value)?;
                    }
                }
                _ => self.set("", name, value)?,
            }
        }
        Ok(())
    }

    /// Checks that this section exists, also if it is empty in the file.
    fn known(&self, section: &str, name: &Name<'_>) -> Result<()> {
        let settings = keys::settings(self.config);
        if settings.iter().any(|setting| setting.section == section) {
            return Ok(());
        }
        Err(self.error(name.span().start, unknown_section(section, &settings)))
    }

    /// A section whose tables are processes of this kind, numbered from `first` on.
    fn instances(
        &mut self,
        section: &str,
        kind: &str,
        first: u32,
        table: &DeTable<'_>,
    ) -> Result<()> {
        for (name, value) in table {
            let DeValue::Table(instance) = value.get_ref() else {
                self.set(section, name, value)?;
                continue;
            };
            let number = self.number(name, kind, first)?;
            match section {
                "order" => keys::replica(self.config, number),
                "catalog" => keys::catalog(self.config, number),
                _ => keys::front_end(self.config, number),
            };
            for (name, value) in instance {
                self.set(&format!("{section}.{number}"), name, value)?;
            }
        }
        Ok(())
    }

    fn number(&self, name: &Name<'_>, kind: &str, first: u32) -> Result<u32> {
        let text = name.get_ref();
        let number = text.parse().ok().filter(|n| (first..=Instance::ID_MAX).contains(n));
        // A second spelling, such as 01, would be a second table for the same process.
        number.filter(|number: &u32| number.to_string() == **text).ok_or_else(|| {
            let max = Instance::ID_MAX;
            let why =
                format!("{kind} is \"{text}\", expected a whole number from {first} to {max}");
            self.error(name.span().start, why)
        })
    }

    fn set(&mut self, section: &str, name: &Name<'_>, value: &Value<'_>) -> Result<()> {
        let settings = keys::settings(self.config);
        let found = settings.iter().find(|s| s.section == section && s.name() == name.get_ref());
        let Some(setting) = found else {
            let why = unknown_key(section, name.get_ref(), &settings);
            return Err(self.error(name.span().start, why));
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(on) => on.to_string(),
            other => format!("({})", other.type_str()),
        };
        setting.set(self.config, &text).map_err(|why| self.error(value.span().start, why))
    }

    /// An error at a byte of the file.
    fn error(&self, at: usize, why: String) -> Error {
        let line = text::line_at(self.text.as_bytes(), at);
        Error::Config { place: format!("{}, line {line}", self.file), why }
    }
}

/// The message for a key that is not in the table.
fn unknown_key(section: &str, name: &str, settings: &[keys::Setting]) -> String {
    if section.is_empty() {
        let complaint = format!("unknown key {name} outside the sections");
        return offer(&complaint, name, &sections(settings));
    }
    let in_section = settings.iter().filter(|setting| setting.section == section);
    let names: Vec<_> = in_section.map(|setting| setting.name().to_owned()).collect();
    offer(&format!("unknown key {name} in [{section}]"), name, &names)
}

fn unknown_section(section: &str, settings: &[keys::Setting]) -> String {
    offer(&format!("unknown section [{section}]"), section, &sections(settings))
}

fn sections(settings: &[keys::Setting]) -> Vec<String> {
    let mut sections: Vec<_> = settings.iter().map(|setting| setting.section.clone()).collect();
    sections.dedup();
    sections
}

/// Adds the allowed names, and the nearest of them, to a message about an unknown name.
fn offer(complaint: &str, name: &str, allowed: &[String]) -> String {
    let hint = keys::nearest(name, allowed)
        .map_or_else(String::new, |nearest| format!("did you mean {nearest}? "));
    format!("{complaint}; {hint}allowed are {}", allowed.join(", "))
}

//! A number from the environment, for tests whose length can be chosen.

use std::env;
use std::str::FromStr;

/// The value of the variable, if it is set.
pub fn given<T: FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, expected a number")))
}

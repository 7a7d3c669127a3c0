//! A number from the environment, for tests that run as long as one likes.

use std::env;
use std::str::FromStr;

/// What the variable says, if it is set.
pub fn given<T: FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, expected a number")))
}

//! The header `Link` (RFC 8288), as far as a list in pages needs it: the target of the next page.

/// The value of the header for the next page; `target` is percent-encoded already.
pub fn link_to_next(target: &str) -> String {
    format!("<{target}>; rel=\"next\"")
}

/// The target of the next page, from the value of the header.
pub(super) fn next(mut value: &str) -> Option<&str> {
    loop {
        let (target, rest) = value.split_once('<')?.1.split_once('>')?;
        let (parameters, others) = rest.split_once(',').unwrap_or((rest, ""));
        let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
        if parameters.split(';').any(is_next) {
            return Some(target);
        }
        value = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_other_links() {
        for (value, target) in [
            (
                &*link_to_next("/products?after=a%2Cb&limit=2"),
                Some("/products?after=a%2Cb&limit=2"),
            ),
            ("</a>; rel=prev, </b>; title=\"b\"; rel=next", Some("/b")),
            ("</a>; rel=\"prev\"", None),
            ("/a; rel=next", None),
            ("</a; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(value), target, "{value}");
        }
    }
}

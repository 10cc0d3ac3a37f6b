//! Limits on the shape of the XML, checked in one linear pass before the parser sees it.
//!
//! The parser compares each attribute of an element with all others, and its callers walk the tree;
//! both are fine within these bounds and a way to burn hours beyond them. This pass is no parser:
//! what it does not understand it leaves to the parser to refuse.

/// The deepest nesting. IIS' own sections need ten.
const DEEPEST: usize = 64;
/// The most attributes of one element. The largest real one has some twenty.
const MOST_ATTRIBUTES: usize = 256;

/// The XML is of a shape that no `web.config` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ShapeError {
    #[error("a document type definition is not accepted")]
    Dtd { at: usize },
    #[error("elements are nested more than {DEEPEST} deep")]
    TooDeep { at: usize },
    #[error("an element has more than {MOST_ATTRIBUTES} attributes")]
    TooManyAttributes { at: usize },
}

impl ShapeError {
    pub(super) fn at(self) -> usize {
        let (Self::Dtd { at } | Self::TooDeep { at } | Self::TooManyAttributes { at }) = self;
        at
    }
}

pub(super) fn check(text: &str) -> Result<(), ShapeError> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('<')) {
        let open = at + found;
        let markup = text.get(open..).unwrap_or_default();
        let length = if markup.starts_with("<!--") {
            through(markup, "-->")
        } else if markup.starts_with("<![CDATA[") {
            through(markup, "]]>")
        } else if markup.starts_with("<?") {
            through(markup, "?>")
        } else if markup.starts_with("<!") {
            return Err(ShapeError::Dtd { at: open });
        } else if markup.starts_with("</") {
            depth = depth.saturating_sub(1);
            through(markup, ">")
        } else {
            let tag = Tag::scan(markup);
            if tag.attributes > MOST_ATTRIBUTES {
                return Err(ShapeError::TooManyAttributes { at: open });
            }
            depth += usize::from(!tag.is_empty_element);
            if depth > DEEPEST {
                return Err(ShapeError::TooDeep { at: open });
            }
            tag.length
        };
        at = open + length;
    }
    Ok(())
}

/// The length of the markup up to and including `end`; all of it when it never ends.
fn through(markup: &str, end: &str) -> usize {
    markup.find(end).map_or(markup.len(), |at| at + end.len())
}

struct Tag {
    length: usize,
    attributes: usize,
    is_empty_element: bool,
}

impl Tag {
    fn scan(markup: &str) -> Self {
        let mut attributes = 0;
        let mut quote = None;
        let mut previous = b'<';
        for (at, byte) in markup.bytes().enumerate() {
            match (quote, byte) {
                (Some(open), _) if byte == open => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'=') => attributes += 1,
                (None, b'>') => {
                    return Self { length: at + 1, attributes, is_empty_element: previous == b'/' };
                }
                (None, _) => {}
            }
            previous = byte;
        }
        Self { length: markup.len(), attributes, is_empty_element: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_xml_passes() {
        let text =
            r#"<?xml version="1.0"?><!-- <!DOCTYPE --><a b='>' c="<"><![CDATA[<x>]]><d/></a>"#;
        assert_eq!(check(text), Ok(()));
        for broken in ["", "<", "<a", "<a b='", "</", "<!--", "<?", ">", "<a></b></c>", "é<é>"] {
            assert_eq!(check(broken), Ok(()), "{broken}");
        }
    }

    #[test]
    fn hostile_shapes_are_refused() {
        assert_eq!(check("<!DOCTYPE a>"), Err(ShapeError::Dtd { at: 0 }));
        assert!(matches!(check(&"<a>".repeat(300_000)), Err(ShapeError::TooDeep { .. })));
        let many: String = (0..100_000).map(|i| format!(" a{i}=''")).collect();
        assert!(matches!(
            check(&format!("<a{many}/>")),
            Err(ShapeError::TooManyAttributes { at: 0 })
        ));
        assert_eq!(check(&"<a/>".repeat(100_000)), Ok(()));
    }
}

//! Lengths of a request's parts, as IIS' request filtering has them. Nothing is filtered unless
//! it is configured: the limits of a head hold in any case.

use crate::http1::reject::Cause;

/// Limits beside those of the head; `None` and empty are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Bytes of the path as received (`maxUrl`).
    pub url: Option<usize>,
    /// Bytes of the query string as received, without its question mark (`maxQueryString`).
    pub query: Option<usize>,
    /// Bytes of the value of single fields, by name (`headerLimits`).
    pub fields: Vec<(String, usize)>,
}

impl Filter {
    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The limit that a request breaks, if it does.
    pub(crate) fn check<'f>(
        &self,
        target: &[u8],
        mut fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), Cause> {
        let query = target.iter().position(|byte| *byte == b'?');
        let url = query.unwrap_or(target.len());
        if self.url.is_some_and(|most| url > most) {
            return Err(Cause::UrlTooLong);
        }
        let query = query.map_or(0, |at| target.len() - at - 1);
        if self.query.is_some_and(|most| query > most) {
            return Err(Cause::QueryTooLong);
        }
        let is_over = |(name, value): (&[u8], &[u8])| {
            self.fields.iter().any(|(limited, most)| {
                value.len() > *most && limited.as_bytes().eq_ignore_ascii_case(name)
            })
        };
        if !self.fields.is_empty() && fields.any(is_over) {
            return Err(Cause::FieldTooLong);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_compared_part_by_part() {
        let filter = Filter {
            url: Some(4),
            query: Some(3),
            fields: vec![("Content-Type".into(), 2), ("X".into(), 0)],
        };
        let check = |target: &str, field: (&'static str, &'static str)| {
            let field = (field.0.as_bytes(), field.1.as_bytes());
            filter.check(target.as_bytes(), std::iter::once(field))
        };
        assert_eq!(check("/abc?abc", ("content-type", "ab")), Ok(()));
        assert_eq!(check("/abcd", ("a", "a")), Err(Cause::UrlTooLong));
        assert_eq!(check("/abcd?", ("a", "a")), Err(Cause::UrlTooLong));
        assert_eq!(check("/?abcd", ("a", "a")), Err(Cause::QueryTooLong));
        assert_eq!(check("/?a?bc", ("a", "a")), Err(Cause::QueryTooLong));
        assert_eq!(check("/", ("CONTENT-TYPE", "abc")), Err(Cause::FieldTooLong));
        assert_eq!(check("/", ("x", "")), Ok(()));
        assert_eq!(check("/", ("x", "1")), Err(Cause::FieldTooLong));
        let open = Filter::default();
        assert!(open.is_empty());
        assert_eq!(open.check(&[b'a'; 9000], std::iter::empty()), Ok(()));
    }
}

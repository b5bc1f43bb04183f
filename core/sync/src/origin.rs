//! Where the API lives. Owns the two checks that keep tokens at home: plain HTTP goes to this machine only, and a URL that
//! the server names is followed only within the server's own origin.

use std::fmt;

use url::{Host, Url};

/// Longer addresses are not addresses.
const URL_CHARACTERS_MAX: usize = 2_048;

/// Why an address is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not an absolute `https` URL, or one with a path, a query, a fragment or a user.
    #[error("the server's address is not an https origin")]
    NotAnOrigin,
    /// Plain HTTP to another machine.
    #[error("plain HTTP is accepted for this machine only")]
    PlainHttp,
    /// The server pointed to another server.
    #[error("the server named an address of another origin")]
    OtherOrigin,
}

/// Scheme, host and port of the API.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(Url);

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl Origin {
    /// Reads `https://host[:port]`, or `http` with a loopback host.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let url = parse_bounded(text).ok_or(OriginError::NotAnOrigin)?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare {
            return Err(OriginError::NotAnOrigin);
        }
        if is_allowed(&url) {
            return Ok(Self(url));
        }
        match url.scheme() {
            "http" => Err(OriginError::PlainHttp),
            _ => Err(OriginError::NotAnOrigin),
        }
    }

    /// The URL of a path of the API; `path` begins with a slash.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// Resolves a `Location` that answered a request to `path`. Only this origin is accepted: a capability goes there.
    pub(crate) fn resolve(&self, path: &str, location: &str) -> Result<String, OriginError> {
        if location.len() > URL_CHARACTERS_MAX {
            return Err(OriginError::OtherOrigin);
        }
        let base = self.0.join(path).map_err(|_| OriginError::NotAnOrigin)?;
        let resolved = base.join(location).map_err(|_| OriginError::OtherOrigin)?;
        if self.owns(&resolved) { Ok(resolved.into()) } else { Err(OriginError::OtherOrigin) }
    }

    /// Whether an absolute URL belongs to this origin.
    pub(crate) fn is_home_of(&self, url: &str) -> bool {
        parse_bounded(url).is_some_and(|url| self.owns(&url))
    }

    fn owns(&self, url: &Url) -> bool {
        url.origin() == self.0.origin() && url.username().is_empty() && url.password().is_none()
    }
}

/// Whether requests to this URL may be made at all.
pub(crate) fn is_allowed(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether the host is this machine. The name `localhost` counts, since the transport pins it to loopback addresses.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn parse_bounded(text: &str) -> Option<Url> {
    if text.len() > URL_CHARACTERS_MAX {
        return None;
    }
    Url::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_reaches_this_machine_only() {
        for text in [
            "https://api.example",
            "https://api.example:8443/",
            "http://127.0.0.1:80",
            "http://[::1]:9",
            "http://localhost:1",
        ] {
            assert!(Origin::parse(text).is_ok(), "{text}");
        }
        for text in ["http://api.example", "http://127.0.0.1.example", "http://10.0.0.1", "http://localhost.example"] {
            assert_eq!(Origin::parse(text), Err(OriginError::PlainHttp), "{text}");
        }
        for text in [
            "api.example",
            "ftp://api.example",
            "https://a@api.example",
            "https://api.example/v1",
            "https://api.example?x",
            "",
        ] {
            assert_eq!(Origin::parse(text), Err(OriginError::NotAnOrigin), "{text}");
        }
    }

    #[test]
    fn a_location_stays_at_home() {
        let origin = Origin::parse("https://api.example").unwrap();
        assert_eq!(origin.resolve("/v1/uploads", "/v1/uploads/7").unwrap(), "https://api.example/v1/uploads/7");
        assert_eq!(origin.resolve("/v1/uploads", "uploads/7").unwrap(), "https://api.example/v1/uploads/7");
        assert_eq!(origin.resolve("/v1/uploads", "https://api.example:443/x").unwrap(), "https://api.example/x");
        for away in [
            "//evil.example/x",
            "http://api.example/x",
            "https://api.example:444/x",
            "https://a@api.example/",
            "data:x",
        ] {
            assert_eq!(origin.resolve("/v1/uploads", away), Err(OriginError::OtherOrigin), "{away}");
        }
        assert!(origin.is_home_of("https://api.example/v1/uploads/1"));
        assert!(!origin.is_home_of("https://other.example/v1/uploads/1"));
    }
}

//! `http_server_config.headers`: the headers that every response has.

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS, X_XSS_PROTECTION,
};

use super::yaml::{Fields, Problem};

/// The headers that can be set, with the values of which they can have one; none of which they can have any.
const HEADERS: [(&str, HeaderName, &[&str]); 5] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY, &[]),
    ("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY, &[]),
    ("X-Content-Type-Options", X_CONTENT_TYPE_OPTIONS, &["nosniff"]),
    ("X-Frame-Options", X_FRAME_OPTIONS, &["deny", "sameorigin"]),
    ("X-XSS-Protection", X_XSS_PROTECTION, &[]),
];

pub(super) fn parse(mut fields: Fields<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
    let mut headers = Vec::new();
    for (name, header, allowed) in HEADERS {
        let line = fields.line_of(name);
        let key = fields.path(name);
        let Some(value) = fields.text(name)? else { continue };
        let problem = |text| Problem { line: line.unwrap_or(1), key: key.clone(), text };
        if !allowed.is_empty() && !allowed.contains(&&*value) {
            return Err(problem(format!("it can be {}, and is {value:?}", allowed.join(" or "))));
        }
        let value = HeaderValue::from_str(&value)
            .map_err(|_| problem("it has a character that no header can have; write it in one line".to_owned()))?;
        headers.push((header, value));
    }
    fields.end()?;
    Ok(headers)
}

//! What every response carries and every request must bring.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use crate::rt::SocketAddr;

/// No page of another origin may frame these, and nothing is kept. What the page may load stands in the page.
const HEADERS: &[(HeaderName, &str)] = &[
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// On loopback a request must be meant for loopback: otherwise a web page could give its own name our address, and read in the
/// browser of whoever runs this broker.
pub fn guarded(router: Router, is_loopback: bool) -> Router {
    let check = move |request: Request, next: Next| async move {
        if is_loopback && !names_loopback(request.headers()) {
            let text = "this port is bound to loopback: ask for it as localhost, 127.0.0.1 or [::1]\n";
            return (StatusCode::FORBIDDEN, text).into_response();
        }
        with_headers(next.run(request).await)
    };
    router.layer(middleware::from_fn(check))
}

fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name.clone(), HeaderValue::from_static(value));
    }
    response
}

/// A request without a Host header is no browser's.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        return true;
    };
    let host = host.to_str().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let address = host.parse::<SocketAddr>().or_else(|_| format!("{host}:0").parse());
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_reach_loopback() {
        let asked = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a header value"));
            names_loopback(&headers)
        };
        for good in [
            "localhost",
            "LOCALHOST:9644",
            "127.0.0.1:9644",
            "127.8.9.1",
            "[::1]:9644",
        ] {
            assert!(asked(good), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:9644",
            "10.0.0.1:9644",
            "localhost.evil.example",
            "",
            "[::2]:1",
        ] {
            assert!(!asked(bad), "{bad}");
        }
        assert!(names_loopback(&HeaderMap::new()));
    }
}

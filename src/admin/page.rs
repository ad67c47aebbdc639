//! The status page: one file without outside addresses, compiled in.

use axum::response::Html;

const PAGE: &str = include_str!("page.html");

pub async fn page() -> Html<&'static str> {
    Html(PAGE)
}

#[cfg(test)]
mod tests {
    use super::PAGE;

    /// Nothing is loaded from elsewhere, and nothing can be changed from the page.
    #[test]
    fn the_page_is_self_contained_and_read_only() {
        assert!(PAGE.contains("default-src 'none'; "));
        for foreign in ["http://", "https://", "src=", "@import", "<form", "POST", "innerHTML"] {
            assert!(!PAGE.contains(foreign), "{foreign}");
        }
    }
}

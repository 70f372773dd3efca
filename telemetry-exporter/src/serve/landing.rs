//! The page at `/`: where the metrics are, for whoever opens the port in a browser.

/// Renders the page headed by `title`.
pub(super) fn page(title: &str, events: bool) -> String {
    let title = escape(title);
    let events = if events { "<li><a href=\"/events\">/events</a>: what can be emitted</li>\n" } else { "" };
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd }} a {{ color: #8cf }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Metrics, served by telemetry-exporter {version}.</p>
<ul>
<li><a href="/metrics">/metrics</a>: for Prometheus</li>
<li><a href="/metrics.json">/metrics.json</a>: the same as JSON</li>
{events}<li><a href="/-/healthy">/-/healthy</a>: whether this endpoint answers</li>
</ul>
</body>
</html>
"#
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn a_title_cannot_break_out_of_the_page() {
        let page = page("<script>a & b</script>", false);
        assert!(page.contains("<h1>&lt;script&gt;a &amp; b&lt;/script&gt;</h1>"));
        assert!(!page.contains("<script>"));
    }

    #[test]
    fn a_page_that_is_not_served_is_not_linked() {
        assert!(!page("", false).contains("/events"));
        assert!(page("", true).contains("href=\"/events\""));
    }
}

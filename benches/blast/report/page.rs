//! The page: pictures, the table of ratios, and under which circumstances all this was measured. No script, no foreign
//! file.

use std::fmt::Write;

use serde_json::Value;

use super::Picture;
use crate::output::summary::number;
use crate::suite::table::{rows, short, text_of, verdict_of};

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 1180px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 1rem }
.pictures svg { width: 100%; height: auto; border: 1px solid #ddd; border-radius: 6px }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #e4e4e4; vertical-align: top }
td.n { text-align: right } .better { color: #00693e } .worse { color: #a83200 }
.note { background: #fff6e0; border-left: 4px solid #e0a000; padding: .5rem .8rem }
";

pub fn html(run: &Value, pictures: &[Picture]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>corelane-bench</title>\n<style>{STYLE}</style></head>\n<body>\n"
    );
    let _ = write!(page, "<h1>{}</h1>\n{}", escape(&title(run)), doubts(run));
    page.push_str("<div class=\"pictures\">\n");
    for picture in pictures {
        // The declaration of an XML file has no place inside a page.
        let from = picture.svg.find("<svg").unwrap_or(0);
        page.push_str(&picture.svg[from..]);
    }
    page.push_str("</div>\n");
    page.push_str(&ratios(run));
    page.push_str(&extras(run));
    page.push_str(&loads(run));
    page.push_str(&circumstances(run));
    page.push_str("</body></html>\n");
    page
}

fn title(run: &Value) -> String {
    let names: Vec<String> = rows(run, "brokers")
        .map(|broker| format!("{} {}", text_of(&broker["name"]), text_of(&broker["version"])))
        .collect();
    format!("Brokers side by side: {}", names.join(", "))
}

/// What a reader must know before believing a number.
fn doubts(run: &Value) -> String {
    let all = rows(run, "slices").count();
    let count = |is: fn(&&Value) -> bool| rows(run, "slices").filter(is).count();
    let noisy = count(|slice| slice["noise"]["noisy"] == true);
    let saturated = count(|slice| slice["saturated"] == true);
    let unclean = count(|slice| slice["delivery"]["clean"] == false);
    let failed = count(|slice| slice["errors"].as_object().is_some_and(|errors| !errors.is_empty()));
    let mut text = format!("<p>{all} slices");
    for (number, what) in [
        (noisy, "disturbed by other work on the machine"),
        (saturated, "in which the client itself came too late"),
        (unclean, "with lost, repeated or disordered batches"),
        (failed, "with refused requests"),
    ] {
        if number > 0 {
            let _ = write!(text, "</p>\n<p class=\"note\">{number} of {all} slices: {what}.");
        }
    }
    text + "</p>\n"
}

fn ratios(run: &Value) -> String {
    if rows(run, "ratios").next().is_none() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>Ratios</h2>\n<p>Medians of the ratios of neighbouring slices with their 95 % bootstrap intervals.</p>\n\
         <table><tr><th>load<th>measure<th>first<th><th>second<th><th>ratio<th>interval<th>pairs<th></tr>\n",
    );
    for row in rows(run, "ratios") {
        let unit = text_of(&row["unit"]);
        let side = |value: &str| format!("{} {unit}", short(number(&row[value]["median"])));
        let verdict = verdict_of(row);
        let _ = writeln!(
            text,
            "<tr><td>{}<td>{}<td>{}<td class=n>{}<td>{}<td class=n>{}<td class=n><b>{}</b><td class=n>{}–{}<td class=n>{}<td class={verdict}>{verdict}</tr>",
            escape(&text_of(&row["load"])),
            escape(&text_of(&row["measure"])),
            escape(&text_of(&row["a"])),
            side("a_value"),
            escape(&text_of(&row["b"])),
            side("b_value"),
            short(number(&row["median"])),
            short(number(&row["low"])),
            short(number(&row["high"])),
            row["pairs"],
        );
    }
    text + "</table>\n"
}

fn extras(run: &Value) -> String {
    if rows(run, "extras").next().is_none() {
        return String::new();
    }
    let mut text = String::from("<h2>Beside the loads</h2>\n<table>");
    for row in rows(run, "extras") {
        let _ = writeln!(
            text,
            "<tr><td>{}<td>{}</tr>",
            escape(&text_of(&row["measure"])),
            escape(&text_of(&row["text"]))
        );
    }
    text + "</table>\n"
}

fn loads(run: &Value) -> String {
    let mut text = String::from("<h2>Loads</h2>\n<table>");
    for load in rows(run, "workloads") {
        let options = escape(&settings(&load["options"]));
        let _ = writeln!(
            text,
            "<tr><td>{}<td>{}<td><small>{options}</small></tr>",
            escape(&text_of(&load["name"])),
            escape(&text_of(&load["title"])),
        );
    }
    text + "</table>\n"
}

fn circumstances(run: &Value) -> String {
    let mut text = String::from("<h2>Circumstances</h2>\n<table>");
    for broker in rows(run, "brokers") {
        let _ = writeln!(
            text,
            "<tr><td>{}<td><small>{}</small></tr>",
            escape(&text_of(&broker["name"])),
            escape(&broker.to_string())
        );
    }
    for (name, value) in run["env"].as_object().into_iter().flatten() {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(text, "<tr><td>{}<td>{}</tr>", escape(name), escape(&shown));
    }
    text + "</table>\n"
}

/// What was set: the flags that were given a value.
fn settings(options: &Value) -> String {
    let is_set = |value: &Value| !value.is_null() && *value != false && !value.as_array().is_some_and(Vec::is_empty);
    let set = options
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| is_set(value));
    let words: Vec<String> = set.map(|(name, value)| format!("{name} {value}")).collect();
    words.join(", ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_cannot_become_markup() {
        let run = json!({"brokers": [{"name": "<script>", "version": "1"}], "slices": []});
        let page = html(&run, &[]);
        assert!(!page.contains("<script>"));
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn doubtful_slices_are_named_first() {
        let run = json!({"slices": [{"noise": {"noisy": true}}, {"noise": {"noisy": false}}]});
        assert!(html(&run, &[]).contains("1 of 2 slices: disturbed"));
    }
}

//! The dashboard and the alert rules of `config/`, evaluated by a real Prometheus that scrapes a loaded broker.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Admin, get, is_installed};
use crate::support::{free_port, root, wait_until};

/// A Prometheus that scrapes one broker every second, with the rules of `config/`.
struct Prometheus {
    port: u16,
    child: Child,
}

impl Prometheus {
    fn start(admin: &Admin) -> Prometheus {
        let (dir, port) = (admin.broker.dir.join("prometheus"), free_port());
        fs::create_dir_all(&dir).unwrap();
        let rules = root().join("config/alerts.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n\
             - {{job_name: corelane, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}\n",
            rules.display(),
            admin.port
        );
        fs::write(dir.join("prometheus.yml"), text).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Prometheus { port, child };
        wait_until("Prometheus answers", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() && get(port, "/-/ready", "localhost").0 == 200
        });
        prometheus
    }

    /// The samples of an expression: (labels, value).
    fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let answer = self.api(&format!("query?query={}", encoded(expression)));
        let result = answer["data"]["result"].as_array();
        let result = result.unwrap_or_else(|| panic!("{expression}: {answer}"));
        let value = |row: &Value| row["value"][1].as_str().unwrap().parse().unwrap();
        result.iter().map(|row| (row["metric"].clone(), value(row))).collect()
    }

    fn api(&self, path: &str) -> Value {
        let (_, _, body) = get(self.port, &format!("/api/v1/{path}"), "localhost");
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As a part of a URL: every byte that is not a letter or digit.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => (byte as char).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// (title, expression) of every panel, with Grafana's variables filled in.
fn panels() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("config/grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let filled = expression.replace("$__rate_interval", "30s").replace("$broker", ".*");
            found.push((panel["title"].as_str().unwrap().to_string(), filled));
        }
    }
    assert!(found.len() > 30);
    found
}

#[test]
fn every_panel_has_data_and_no_alert_fires() {
    if !is_installed("prometheus") {
        return;
    }
    let admin = Admin::start(&[]);
    let prometheus = Prometheus::start(&admin);
    wait_until("the broker is scraped", || !prometheus.query("up").is_empty());
    let mut empty = panels();
    wait_until("every panel has data", || {
        admin.load("observed", 200);
        let has_data = |expression: &str| prometheus.query(expression).iter().any(|(_, value)| value.is_finite());
        empty.retain(|(_, expression)| !has_data(expression));
        eprintln!("without data: {empty:#?}");
        empty.is_empty()
    });
    wait_until("every rule is evaluated", || {
        rules(&prometheus).iter().all(|rule| rule["health"] == "ok")
    });
    let rules = rules(&prometheus);
    assert!(rules.len() >= 15);
    for rule in rules {
        // Seconds of history may look like a trend; no more than that.
        assert_ne!(rule["state"], "firing", "{rule}");
    }
}

fn rules(prometheus: &Prometheus) -> Vec<Value> {
    let answer = prometheus.api("rules");
    let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
    rules.collect()
}

/// Rules that see what they are for: the broker is gone.
#[test]
fn a_broker_that_is_gone_is_alerted() {
    if !is_installed("prometheus") {
        return;
    }
    let mut admin = Admin::start(&[]);
    let prometheus = Prometheus::start(&admin);
    wait_until("the broker is seen", || {
        prometheus
            .query("up{job=\"corelane\"}")
            .iter()
            .any(|(_, value)| *value == 1.0)
    });
    admin.broker.kill_9();
    wait_until("the alert is pending", || {
        let is_down = |rule: &Value| rule["name"] == "CorelaneDown" && rule["state"] == "pending";
        rules(&prometheus).iter().any(is_down)
    });
}

/// Without Prometheus too: whatever the dashboard and the rules name is exported.
#[test]
fn only_metrics_that_exist_are_named() {
    let admin = Admin::start(&[]);
    admin.load("named", 100);
    let (_, text) = admin.get("/metrics");
    let exported: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for file in ["config/grafana-dashboard.json", "config/alerts.yml"] {
        let named = metrics_named(&root().join(file));
        assert!(named.len() > 10, "{file}");
        for name in named {
            let family = ["_bucket", "_count", "_sum"].iter().fold(name.as_str(), |name, end| {
                name.strip_suffix(end)
                    .filter(|family| exported.contains(family))
                    .unwrap_or(name)
            });
            assert!(exported.contains(&family), "{file} names {name}, which is not exported");
        }
    }
}

/// Words that begin as our metrics do, in the expressions of a file.
fn metrics_named(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let expressions = text
        .lines()
        .filter(|line| line.trim_start().trim_start_matches('"').starts_with("expr"));
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let words = expressions.flat_map(|line| line.split(move |letter: char| !is_name(letter)));
    let ours = words.filter(|word| {
        ["corelane_", "kafka_", "process_"]
            .iter()
            .any(|start| word.starts_with(start))
    });
    ours.map(str::to_string).collect()
}

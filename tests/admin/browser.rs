//! The status page in headless Chromium: it renders with data, on a desk and on a phone, in light and in dark.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Admin, is_installed};

/// A browser that talks to nobody but the page.
fn chromium(admin: &Admin, arguments: &[&str]) -> Vec<u8> {
    let profile = admin.broker.dir.join("chromium");
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--hide-scrollbars", "--virtual-time-budget=30000"]) // fifteen looks at the broker
        .args(arguments)
        .arg(format!("http://127.0.0.1:{}/", admin.port))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The page's text from the element with this id to the end tag.
fn part<'a>(page: &'a str, id: &str, end: &str) -> &'a str {
    let from = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    let part = &page[from..];
    &part[..part.find(end).unwrap()]
}

#[test]
fn the_page_renders_with_data() {
    if !is_installed("chromium") {
        return;
    }
    let admin = Admin::start(&[]);
    admin.load("rendered", 2_000);
    let page = String::from_utf8(chromium(&admin, &["--dump-dom"])).unwrap();
    assert!(part(&page, "state", "</span>").contains(">ready"));
    assert!(part(&page, "findings", "</div>").contains("Nothing: every shard turns"));
    assert!(part(&page, "topics", "</tbody>").contains(">rendered<"));
    assert_eq!(part(&page, "shards", "</tbody>").matches("<tr>").count(), 2);
    let apis = part(&page, "apis", "</tbody>");
    assert!(apis.contains(">Produce<") && apis.contains("µs"), "{apis}");
    assert!(part(&page, "stages", "</tbody>").contains(">disk write<"));
    let groups = part(&page, "groups", "</tbody>");
    assert!(groups.contains(">readers<") && groups.contains(">Empty<"), "{groups}");
    // A broker on loopback alone is a developer's: there is little that could be wrong.
    assert!(part(&page, "settings", "</table>").contains("<td"));
    assert!(part(&page, "dirs", "</tbody>").contains(">online<"));
    assert!(!part(&page, "partitions", "</dd>").ends_with(">–"));
    assert!(!page.contains(">NaN") && !page.contains(">undefined"));
}

/// For the eye: the pictures stay under target/status-page.
#[test]
fn the_page_fits_a_desk_and_a_phone() {
    if !is_installed("chromium") {
        return;
    }
    let admin = Admin::start(&[]);
    admin.load("orders", 5_000);
    admin.load("payments", 2_000);
    let pictures: PathBuf = crate::support::target_dir().join("status-page");
    std::fs::create_dir_all(&pictures).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                admin.produce("orders", 500);
            }
        });
        for (name, size, dark) in [
            ("desk", "1280,1500", false),
            ("dark", "1280,1500", true),
            ("phone", "500,1900", false),
        ] {
            picture(&admin, &pictures.join(format!("{name}.png")), size, dark);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

fn picture(admin: &Admin, file: &Path, size: &str, dark: bool) {
    let mut arguments = vec![
        format!("--screenshot={}", file.display()),
        format!("--window-size={size}"),
    ];
    if dark {
        arguments.push("--blink-settings=preferredColorScheme=0".to_string());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    chromium(admin, &arguments);
    let bytes = std::fs::metadata(file).unwrap().len();
    assert!(bytes > 40_000, "{} is blank", file.display());
}

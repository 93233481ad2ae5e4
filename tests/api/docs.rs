//! Every command that a page of `docs/` shows, run as it stands there.
use crate::house::Place;
use regex::Regex;
use serde_json::json;
use std::{fs, path::Path, process::Command};

/// Runs the commands of one page in their order, in a place of its own.
fn follow(page: &str) {
    let place = Place::new();
    let store = json!({"url": "sqlite:usher.db"});
    place.configure("https://login.example.com/realms/corp", &json!({"store": store}));
    let text = fs::read_to_string(Path::new("docs").join(page)).unwrap();
    let mut count = 0;
    for (kind, block) in blocks(&text) {
        match kind.split_once(' ') {
            Some((_, name)) => fs::write(place.path(name), block).unwrap(),
            None if kind == "console" => count += run_all(&place, &block),
            None => {}
        }
    }
    assert!(count > 0, "{page} shows no command");
}

/// What stands between fences, and the words behind the first of them.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

fn run_all(place: &Place, block: &str) -> usize {
    let commands: Vec<_> = block.split("$ ").filter(|part| !part.is_empty()).collect();
    for command in &commands {
        let (command, shown) = command.split_once('\n').unwrap();
        assert_eq!(plain(&run(place, command)), plain(shown), "$ {command}");
    }
    commands.len()
}

fn run(place: &Place, command: &str) -> String {
    let usher = Path::new(env!("CARGO_BIN_EXE_usher")).parent().unwrap().display();
    let script =
        format!("usher() {{ command usher --config usher.yaml \"$@\"; }}\n{{ {command}\n}} 2>&1");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", format!("{usher}:/usr/local/bin:/usr/bin:/bin"))
        .current_dir(place.folder.path())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Without what differs each time: moments, names of users, fingerprints, and how wide columns are.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (what, instead) in [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"cli:\S+", "cli:USER"),
        (r"fingerprint [0-9a-f]{8}", "fingerprint X"),
        (r"\r", ""),
        (r" +", " "),
    ] {
        text = Regex::new(what).unwrap().replace_all(&text, instead).into_owned();
    }
    text.trim_end().to_owned()
}

#[test]
fn the_page_about_identities_shows_what_is_printed() {
    follow("identities.md");
}

#[test]
fn the_page_about_hand_written_token_servers_shows_what_is_printed() {
    follow("from-a-hand-written-token-server.md");
}

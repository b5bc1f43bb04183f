//! Who is talked to at all: a certificate that chains, or this machine itself.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use snaptrak_driver::{Answer, EMAIL, Station, captures};

fn sign_up(station: &Station, server: &str, options: &[&str]) -> Answer {
    let password = station.password_file().to_string_lossy().into_owned();
    let account = ["--server", server, "--email", EMAIL, "--password-file", &password];
    station.client.ask(&[&["sign-up"], &account[..], options].concat()).unwrap()
}

#[test]
fn a_given_root_is_believed_and_no_other() {
    let mut station = Station::new().unwrap();
    station.start_server(&["--tls"]).unwrap();
    let url = station.url();
    assert!(url.starts_with("https://"), "{url}");
    let unknown = sign_up(&station, &url, &[]);
    assert_eq!((unknown.code, &unknown.json["code"]), (5, &json!("tls_failed")), "{unknown:?}");
    assert!(unknown.json["next"].as_str().unwrap().contains("--trusted-root"), "{unknown:?}");

    let root = station.server_data().join("tls/root.pem").to_string_lossy().into_owned();
    let trusted = ["--trusted-root", &root];
    let enrolled = sign_up(&station, &url, &trusted);
    assert_eq!(enrolled.code, 0, "{enrolled:?}");
    let taken = captures(&station.client.tell(&["note", "over TLS"]).unwrap());
    let without = station.client.ask(&["sync"]).unwrap();
    assert_eq!(without.code, 5, "{without:?}");
    assert_eq!(without.json["code"], "tls_failed", "{without:?}");
    let with = station.client.tell(&[&["sync"], &trusted[..]].concat()).unwrap();
    assert_eq!((&with["verified"], &with["left"]), (&json!(1), &json!(0)), "{with}");
    assert_eq!(station.client.tell(&["why", &taken[0].id]).unwrap()["state"], "verified");

    // A new certificate at each start, of the same root.
    station.start_server(&["--tls"]).unwrap();
    station.client.tell(&["note", "again"]).unwrap();
    assert_eq!(station.client.tell(&[&["sync"], &trusted[..]].concat()).unwrap()["verified"], 1);

    let other = station.path("other");
    station.start_server_on(&other, &["--tls"], &[]).unwrap();
    station.client.tell(&["note", "to somebody else"]).unwrap();
    let somebody_else = station.client.ask(&[&["sync"], &trusted[..]].concat()).unwrap();
    assert_eq!((somebody_else.code, &somebody_else.json["code"]), (5, &json!("tls_failed")), "{somebody_else:?}");
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    let mut station = Station::new().unwrap();
    for server in
        ["http://example.org", "http://192.0.2.7:8080", "http://localhost.example.org", "http://127.0.0.1.nip.io"]
    {
        let refused = sign_up(&station, server, &[]);
        assert_eq!((refused.code, &refused.json["code"]), (1, &json!("plain_http_refused")), "{server}: {refused:?}");
    }
    for server in ["ftp://127.0.0.1", "nonsense", "http://", "https://user:word@example.org"] {
        let refused = sign_up(&station, server, &[]);
        assert!([1, 2].contains(&refused.code), "{server}: {refused:?}");
        assert_eq!(refused.json["schema"], "snaptrak.error/1", "{server}: {refused:?}");
    }
    station.start_server(&[]).unwrap();
    let enrolled = sign_up(&station, &station.url(), &[]);
    assert_eq!(enrolled.code, 0, "{enrolled:?}");
    assert!(enrolled.words.contains("plain HTTP"), "it is said: {}", enrolled.words);
}

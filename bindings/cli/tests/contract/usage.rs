//! The command line itself: help, versions, mistakes.

use crate::program::{Place, assert_fails, one_object, run};
use serde_json::json;

#[test]
fn a_mistake_is_an_object_for_those_who_asked_for_objects() {
    let place = Place::empty();
    for words in
        [&["captur"][..], &["show", "not-an-id"], &["list", "--limit", "0"], &["sync", "--budget-ms", "x"], &[]]
    {
        let (exit, answer) = one_object(run(place.program(words).arg("--json")));
        assert_eq!((exit, &answer["code"]), (2, &json!("usage")), "{words:?}");
        let for_a_person = run(&mut place.program(words));
        assert_eq!(for_a_person.exit, 2);
        assert!(for_a_person.stdout.is_empty() && !for_a_person.stderr.is_empty());
    }
}

/// Each of them, with what is missing or wrong.
#[test]
fn inference_libraries_that_are_half_named_are_a_mistake() {
    let place = Place::with_store();
    for words in [
        &["--tflite-npu-compiler", "folder"][..],
        &["--tflite-npu-dispatch", "folder"],
        &["--tflite-npu-option", "intel=x"],
        &["--tflite-npu-compiler", "c", "--tflite-npu-dispatch", "d", "--tflite-npu-option", "intel"],
        &["--runtime-provider", "Web=file"],
        &["--runtime-provider", "Web:cpu=file"],
        &["--runtime-provider", "Web:gpu="],
        &["--runtime-option", "Web:key"],
        &["--runtime-option", "Web:key=value"],
        &["--runtime-stand-in", "Web"],
        &["--model-bytes-max", "some"],
    ] {
        let (exit, answer) = place.json([words, &["status"]].concat());
        assert_eq!((exit, &answer["code"]), (2, &json!("usage")), "{words:?}: {answer}");
    }
}

#[test]
fn a_store_is_never_guessed() {
    let place = Place::empty();
    assert_fails(|| place.bare(["list"]), 2, "usage");
}

#[test]
fn help_and_version_are_answers() {
    let place = Place::empty();
    for words in [&["--help"][..], &["capture", "--help"], &["--version"]] {
        let ran = run(&mut place.bare(words));
        assert!(ran.exit == 0 && !ran.stdout.is_empty() && ran.stderr.is_empty());
    }
}

/// A file's name is the user's, not the terminal's.
#[test]
fn what_is_said_cannot_drive_the_terminal() {
    let place = Place::with_store();
    let refused = place.words(["capture", "/no/\u{1b}[2Jsuch"]);
    assert_eq!(refused.exit, 1);
    assert!(refused.stdout.is_empty());
    assert!(refused.stderr.contains("not captured: ") && !refused.stderr.contains('\u{1b}'), "{:?}", refused.stderr);
}

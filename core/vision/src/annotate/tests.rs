use super::*;
use snaptrak_domain::{Sha256Digest, StageMs, Task};

fn finding(boxes: Vec<FindingBox>) -> Finding {
    Finding {
        task: Task::Detect,
        model_id: "model".into(),
        model_sha256: Sha256Digest([0; 32]),
        engine: "engine 1".into(),
        accelerator_asked: "cpu".into(),
        accelerator_ran: "cpu".into(),
        ms: StageMs::default(),
        boxes,
        text: None,
    }
}

fn found(label: &str, x: f32, y: f32, w: f32, h: f32) -> FindingBox {
    FindingBox { label: label.into(), score: 0.87, x, y, w, h }
}

fn grey(width: u32, height: u32) -> Vec<u8> {
    png(&Pixels { width, height, rgb: vec![128; width as usize * height as usize * 3] }).unwrap()
}

fn decoded(bytes: &[u8]) -> Pixels {
    decode::pixels(bytes, &decode::header(bytes).unwrap(), Wanted::ALL).unwrap()
}

fn pixel(pixels: &Pixels, x: u32, y: u32) -> [u8; 3] {
    let at = (y as usize * pixels.width as usize + x as usize) * 3;
    [pixels.rgb[at], pixels.rgb[at + 1], pixels.rgb[at + 2]]
}

#[test]
fn a_box_is_drawn_where_it_is_and_the_rest_stays() {
    let findings = [finding(vec![found("Cat", 60.0, 80.0, 100.0, 60.0)])];
    let drawn = decoded(&annotate(&grey(400, 300), &findings, AnnotatedFormat::Png, ANNOTATED_PIXELS_MAX).unwrap());
    assert_eq!((drawn.width, drawn.height), (400, 300));
    let colour = pixel(&drawn, 60, 100);
    assert!(PALETTE.contains(&colour));
    assert_eq!(pixel(&drawn, 159, 110), colour, "the right side");
    assert_eq!(pixel(&drawn, 110, 139), colour, "the lower side");
    assert_eq!(pixel(&drawn, 110, 110), [128; 3], "inside");
    assert_eq!(pixel(&drawn, 300, 250), [128; 3], "outside");
    assert_ne!(pixel(&drawn, 63, 74), [128; 3], "the label above");
}

#[test]
fn a_large_picture_is_made_smaller_and_boxes_with_it() {
    let findings = [finding(vec![found("Cat", 200.0, 200.0, 400.0, 300.0)])];
    let drawn = decoded(&annotate(&grey(800, 600), &findings, AnnotatedFormat::Png, 120_000).unwrap());
    assert_eq!((drawn.width, drawn.height), (400, 300));
    assert!(PALETTE.contains(&pixel(&drawn, 100, 200)));
}

#[test]
fn boxes_of_any_numbers_and_labels_of_any_text_are_drawn_or_not_but_never_panic() {
    let numbers = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, -50.0, 0.0, 3.5, 1e9];
    let mut boxes = Vec::new();
    for x in numbers {
        for w in numbers {
            boxes.push(FindingBox { label: "ünïcode \u{0} label ".repeat(30), score: x, x, y: w, w, h: x });
        }
    }
    for size in [(1, 1), (3, 200), (64, 48)] {
        for format in [AnnotatedFormat::Png, AnnotatedFormat::Jpeg] {
            let drawn =
                annotate(&grey(size.0, size.1), &[finding(boxes.clone())], format, ANNOTATED_PIXELS_MAX).unwrap();
            let header = decode::header(&drawn).unwrap();
            assert_eq!((header.stored_width, header.stored_height), size);
        }
    }
}

#[test]
fn the_extension_names_the_format() {
    assert_eq!(AnnotatedFormat::from_extension("PNG"), Some(AnnotatedFormat::Png));
    assert_eq!(AnnotatedFormat::from_extension("jpeg"), Some(AnnotatedFormat::Jpeg));
    assert_eq!(AnnotatedFormat::from_extension("gif"), None);
}

#[test]
fn what_cannot_be_decoded_is_refused_with_its_reason() {
    let refused = annotate(b"no picture", &[], AnnotatedFormat::Png, ANNOTATED_PIXELS_MAX).unwrap_err();
    assert_eq!(refused.reason.code, ReasonCode::NotAPicture);
}

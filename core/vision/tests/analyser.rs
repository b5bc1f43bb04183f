//! The analyser as a whole: selection, reasons, readers, orientations and times.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{engine, models, picture, ticking};
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};
use snaptrak_domain::{
    Reason, ReasonCode, Task,
    engine::Accelerator,
    sealed_reader::{ReadError, SealedReader},
};
use snaptrak_inference::Manifest;
use snaptrak_vision::{AnalyseError, Analyser, AnalyserOptions, PICTURE_BYTES_MAX, decode};

/// A reader over bytes that counts what was touched, and can fail.
struct Memory {
    bytes: Vec<u8>,
    claimed_bytes: Option<u64>,
    fails_from: Option<u64>,
    read_bytes: usize,
}

impl Memory {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, claimed_bytes: None, fails_from: None, read_bytes: 0 }
    }
}

impl SealedReader for Memory {
    fn bytes(&self) -> u64 {
        self.claimed_bytes.unwrap_or(self.bytes.len() as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
        if self.fails_from.is_some_and(|from| offset >= from) {
            return Err(ReadError { reason: Reason::new(ReasonCode::NeedsUser) });
        }
        // Never more than a little at once, as a reader over segments does.
        let rest = &self.bytes[(offset as usize).min(self.bytes.len())..];
        let count = rest.len().min(buffer.len()).min(10_000);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read_bytes += count;
        Ok(count)
    }
}

fn with_options(options: &AnalyserOptions) -> Result<Analyser, AnalyseError> {
    let manifest = Manifest::load(&models()).unwrap();
    Analyser::new(&engine(), &manifest, &models(), options, ticking())
}

fn refused(options: &AnalyserOptions) -> Reason {
    with_options(options).err().unwrap().reason
}

#[test]
fn a_reader_and_bytes_give_the_same_and_every_stage_has_its_time() {
    let bytes = picture("astronaut.png");
    let mut analyser = common::analyser();
    let from_bytes = analyser.analyse_bytes(&bytes).unwrap();
    let from_reader = analyser.analyse(&mut Memory::new(bytes)).unwrap();
    assert_eq!(from_bytes.len(), 2);
    for (one, other) in from_bytes.iter().zip(&from_reader) {
        assert_eq!(one.boxes, other.boxes);
        // The clock goes one millisecond a look, and each stage ends with a look.
        for finding in [one, other] {
            let ms = finding.ms;
            assert_eq!((ms.decode, ms.pack, ms.run, ms.post), (1.0, 1.0, 1.0, 1.0));
        }
    }
}

#[test]
fn only_the_selected_models_run_and_in_that_order() {
    let manifest = Manifest::load(&models()).unwrap();
    let ids: Vec<String> = manifest.models.iter().rev().map(|model| model.id.clone()).collect();
    for ids in [ids.clone(), vec![ids[0].clone()], vec![]] {
        let options = AnalyserOptions { models: Some(ids.clone()), ..AnalyserOptions::default() };
        let findings = with_options(&options).unwrap().analyse_bytes(&picture("chelsea.png")).unwrap();
        assert_eq!(findings.iter().map(|finding| finding.model_id.clone()).collect::<Vec<_>>(), ids);
    }
    let faces = AnalyserOptions { models: Some(vec!["blazeface_back".into()]), ..AnalyserOptions::default() };
    let findings = with_options(&faces).unwrap().analyse_bytes(&picture("chelsea.png")).unwrap();
    assert_eq!(findings[0].task, Task::FindFaces);
}

#[test]
fn what_is_missing_is_named() {
    let unknown = refused(&AnalyserOptions { models: Some(vec!["nothing".into()]), ..AnalyserOptions::default() });
    assert_eq!((unknown.code, &*unknown.parameters["model"]), (ReasonCode::ModelMissing, "nothing"));

    let npu = refused(&AnalyserOptions { accelerator: Some(Accelerator::Npu), ..AnalyserOptions::default() });
    assert_eq!((npu.code, &*npu.parameters["accelerator"]), (ReasonCode::EngineMissing, "npu"));

    let manifest = Manifest::load(&models()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let load = || Analyser::new(&engine(), &manifest, empty.path(), &AnalyserOptions::default(), ticking());
    assert_eq!(load().err().unwrap().reason.code, ReasonCode::ModelMissing);
    for model in &manifest.models {
        let file = &model.variant_for("ort").unwrap().file;
        let mut bytes = std::fs::read(models().join(file)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(empty.path().join(file), bytes).unwrap();
    }
    assert_eq!(load().err().unwrap().reason.code, ReasonCode::ModelDamaged, "one bit in a weight");
}

#[test]
fn a_file_that_is_no_picture_is_not_read_to_its_end() {
    let mut analyser = common::analyser();
    let mut video = Memory::new([b"\0\0\0\x14ftypisom".as_slice(), &vec![0; 5_000_000]].concat());
    assert_eq!(analyser.analyse(&mut video).unwrap_err().reason.code, ReasonCode::NotAPicture);
    assert!(video.read_bytes < 1000, "{}", video.read_bytes);

    let mut heic = Memory::new(picture("pug.heic"));
    let reason = analyser.analyse(&mut heic).unwrap_err().reason;
    assert_eq!((reason.code, &*reason.parameters["format"]), (ReasonCode::DecoderMissing, "heic"));
    assert!(heic.read_bytes < 1000);

    let mut huge = Memory::new(picture("astronaut.png"));
    huge.claimed_bytes = Some(PICTURE_BYTES_MAX + 1);
    assert_eq!(analyser.analyse(&mut huge).unwrap_err().reason.code, ReasonCode::PictureTooLarge);

    assert_eq!(analyser.analyse(&mut Memory::new(vec![])).unwrap_err().reason.code, ReasonCode::NotAPicture);
}

#[test]
fn a_reader_that_fails_gives_its_own_reason() {
    let mut analyser = common::analyser();
    for fails_from in [0, 20_000] {
        let mut reader = Memory::new(picture("astronaut.png"));
        reader.fails_from = Some(fails_from);
        assert_eq!(analyser.analyse(&mut reader).unwrap_err().reason.code, ReasonCode::NeedsUser);
    }
    let mut short = Memory::new(picture("astronaut.png"));
    short.claimed_bytes = Some(short.bytes.len() as u64 + 1);
    assert_eq!(analyser.analyse(&mut short).unwrap_err().reason.code, ReasonCode::LocalDamaged);
}

#[test]
fn boxes_are_those_of_the_upright_picture_however_it_is_stored() {
    let bytes = picture("astronaut.png");
    let header = decode::header(&bytes).unwrap();
    let pixels = decode::pixels(&bytes, &header, decode::Wanted::ALL).unwrap();
    // Not square, so that mixing up the sides would show.
    let upright = image::RgbImage::from_raw(pixels.width, pixels.height, pixels.rgb).unwrap();
    let upright = DynamicImage::ImageRgb8(upright).crop_imm(0, 0, 400, 512);
    let mut analyser = common::analyser();
    let mut expected = None;
    for orientation in 1..=8_u8 {
        let back = match orientation {
            6 => 8,
            8 => 6,
            same => same,
        };
        let mut stored = upright.clone();
        stored.apply_orientation(image::metadata::Orientation::from_exif(back).unwrap());
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let mut coded = Vec::new();
        let mut encoder = PngEncoder::new(&mut coded);
        encoder.set_exif_metadata(exif).unwrap();
        let rgb = stored.to_rgb8();
        encoder.write_image(rgb.as_raw(), rgb.width(), rgb.height(), ExtendedColorType::Rgb8).unwrap();
        let findings = analyser.analyse_bytes(&coded).unwrap();
        let boxes: Vec<_> = findings.into_iter().flat_map(|finding| finding.boxes).collect();
        assert!(boxes.iter().any(|found| found.label == "Face"), "orientation {orientation}");
        let expected = expected.get_or_insert_with(|| boxes.clone());
        assert_eq!(expected.len(), boxes.len(), "orientation {orientation}");
        for (one, other) in expected.iter().zip(&boxes) {
            assert_eq!(one.label, other.label);
            assert!((one.score - other.score).abs() < 0.01, "orientation {orientation}");
            let edges = [(one.x, other.x), (one.y, other.y), (one.w, other.w), (one.h, other.h)];
            assert!(edges.iter().all(|(a, b)| (a - b).abs() < 3.0), "orientation {orientation}: {one:?} {other:?}");
            assert!(other.x >= 0.0 && other.y >= 0.0 && other.x + other.w <= 400.01 && other.y + other.h <= 512.01);
        }
    }
}

#[test]
fn a_line_of_pixels_and_a_single_pixel_are_pictures_too() {
    let mut analyser = common::analyser();
    for (width, height) in [(1, 1), (1, 3000), (3000, 1), (2, 7)] {
        let mut coded = Vec::new();
        let picture = DynamicImage::new_rgb8(width, height);
        picture.write_with_encoder(PngEncoder::new(&mut coded)).unwrap();
        let findings = analyser.analyse_bytes(&coded).unwrap();
        for found in findings.iter().flat_map(|finding| &finding.boxes) {
            assert!(found.x + found.w <= width as f32 && found.y + found.h <= height as f32);
        }
    }
}

//! Every orientation of every format, every colour type, every bound, and files that lie.

use super::*;
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, RgbImage, codecs::png::PngEncoder};
use snaptrak_domain::ReasonCode;

/// Four colours in the corners, distinguishable after JPEG.
fn corners(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => image::Rgb([250, 10, 10]),
        (false, true) => image::Rgb([10, 250, 10]),
        (true, false) => image::Rgb([10, 10, 250]),
        (false, false) => image::Rgb([240, 240, 240]),
    })
}

fn exif_block(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

fn jpeg(picture: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let (width, height) = (width as usize, height as usize);
    let (pixels, format) = (picture.as_raw().as_slice(), turbojpeg::PixelFormat::RGB);
    let image = turbojpeg::Image { pixels, width, pitch: width * 3, height, format };
    let coded = turbojpeg::compress(image, 95, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec();
    let Some(block) = exif else { return coded };
    let length = (block.len() + 8) as u16;
    [&coded[..2], &[0xff, 0xe1], &length.to_be_bytes(), b"Exif\0\0", &block, &coded[2..]].concat()
}

fn png(picture: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut encoder = PngEncoder::new(&mut coded);
    if let Some(block) = exif {
        encoder.set_exif_metadata(block).unwrap();
    }
    encoder.write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
    coded
}

fn webp(picture: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut coded);
    if let Some(block) = exif {
        encoder.set_exif_metadata(block).unwrap();
    }
    encoder.write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
    coded
}

fn upright(bytes: &[u8]) -> RgbImage {
    let header = header(bytes).unwrap();
    let pixels = pixels(bytes, &header, Wanted::ALL).unwrap();
    let upright = crate::upright::Upright::new(pixels.width, pixels.height, header.orientation);
    assert_eq!(header.upright_size(), (upright.width, upright.height));
    let rgb = (0..upright.height).flat_map(|y| upright.row(y)).flat_map(|at| pixels.rgb[at * 3..at * 3 + 3].to_vec());
    RgbImage::from_raw(upright.width, upright.height, rgb.collect()).unwrap()
}

fn differ_by(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

fn code(answer: Result<Header, AnalyseError>) -> ReasonCode {
    answer.unwrap_err().reason.code
}

#[test]
fn all_eight_orientations_of_all_formats_stand_upright() {
    type Writer = fn(&RgbImage, Option<Vec<u8>>) -> Vec<u8>;
    let picture = corners(48, 32);
    for orientation in 1..=8_u8 {
        // The picture is turned the other way by another implementation, so that the tag brings it back.
        let back = match orientation {
            6 => 8,
            8 => 6,
            same => same,
        };
        let mut stored = DynamicImage::ImageRgb8(picture.clone());
        stored.apply_orientation(image::metadata::Orientation::from_exif(back).unwrap());
        let stored = stored.into_rgb8();
        for (format, write) in [("jpeg", jpeg as Writer), ("png", png), ("webp", webp)] {
            let shown = upright(&write(&stored, Some(exif_block(orientation))));
            assert!(differ_by(&shown, &picture) < 6.0, "{format} {orientation}: {}", differ_by(&shown, &picture));
        }
    }
}

#[test]
fn exif_that_is_missing_wrong_or_wrongly_begun_does_no_harm() {
    let picture = corners(48, 32);
    let prefixed = [b"Exif\0\0".to_vec(), exif_block(6)].concat();
    assert_eq!(header(&webp(&picture, Some(prefixed))).unwrap().orientation.exif(), 6);
    for block in [exif_block(0), exif_block(9), b"no exif at all".to_vec(), exif_block(6)[..12].to_vec()] {
        for bytes in
            [jpeg(&picture, Some(block.clone())), png(&picture, Some(block.clone())), webp(&picture, Some(block))]
        {
            assert_eq!(header(&bytes).unwrap().orientation, Orientation::UPRIGHT);
        }
    }
}

#[test]
fn every_colour_type_becomes_the_same_picture() {
    let picture = DynamicImage::ImageRgb8(corners(20, 10));
    let grey = DynamicImage::ImageLuma8(picture.to_luma8());
    let write = |picture: &DynamicImage| {
        let mut coded = Vec::new();
        picture.write_with_encoder(PngEncoder::new(&mut coded)).unwrap();
        coded
    };
    let of = |picture: &DynamicImage| {
        [
            DynamicImage::from(picture.to_rgba8()),
            DynamicImage::from(picture.to_rgb16()),
            DynamicImage::from(picture.to_rgba16()),
        ]
    };
    for other in of(&picture) {
        assert_eq!(upright(&write(&other)), picture.to_rgb8(), "{:?}", other.color());
    }
    let greys = [
        grey.clone(),
        DynamicImage::from(grey.to_luma_alpha8()),
        DynamicImage::from(grey.to_luma16()),
        DynamicImage::from(grey.to_luma_alpha16()),
    ];
    for other in greys {
        assert_eq!(upright(&write(&other)), grey.to_rgb8(), "{:?}", other.color());
    }
}

#[test]
fn a_jpeg_is_decoded_at_the_smallest_scale_that_leaves_enough() {
    let bytes = jpeg(&corners(1600, 800), None);
    let header = header(&bytes).unwrap();
    let size = |width, height| {
        let pixels = pixels(&bytes, &header, Wanted { width, height }).unwrap();
        (pixels.width, pixels.height)
    };
    assert_eq!(size(1, 1), (200, 100));
    assert_eq!(size(200, 100), (200, 100));
    assert_eq!(size(201, 100), (400, 200));
    assert_eq!(size(300, 300), (800, 400));
    assert_eq!(size(801, 1), (1600, 800));
    assert_eq!(size(u32::MAX, u32::MAX), (1600, 800));
}

#[test]
fn a_picture_that_breaks_off_is_damaged_and_not_half_analysed() {
    let picture = corners(640, 480);
    for bytes in [jpeg(&picture, None), png(&picture, None), webp(&picture, None)] {
        for kept in [bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 20] {
            let half = &bytes[..kept];
            let answer = header(half).and_then(|header| pixels(half, &header, Wanted { width: 80, height: 60 }));
            let code = answer.err().map(|error| error.reason.code);
            assert_eq!(code, Some(ReasonCode::PictureDamaged), "{:?} cut to {kept}", Format::of(&bytes));
        }
    }
}

#[test]
fn sloppy_but_whole_jpegs_are_decoded() {
    let bytes = jpeg(&corners(640, 480), None);
    // Garbage before the end marker and after it: common in the wild, every pixel is there.
    let end = bytes.len() - 2;
    let sloppy = [&bytes[..end], &[0x12, 0x34, 0x56], &bytes[end..], b"trailing bytes"].concat();
    assert!(differ_by(&upright(&sloppy), &upright(&bytes)) < f64::EPSILON);
    let without_end = [&bytes[..end], &[0x12, 0x34, 0x56]].concat();
    let header = header(&without_end).unwrap();
    assert!(pixels(&without_end, &header, Wanted::ALL).is_err());
}

#[test]
fn sizes_beyond_the_bounds_are_refused_by_the_header_alone() {
    let mut bytes = png(&corners(2, 2), None);
    let mut claim = |width: u32, height: u32| {
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        header(&bytes)
    };
    assert_eq!(code(claim(11_000, 11_000)), ReasonCode::PictureTooLarge);
    assert_eq!(code(claim(u32::MAX, u32::MAX)), ReasonCode::PictureTooLarge);
    assert_eq!(code(claim(1, 100_000)), ReasonCode::PictureTooLarge);
    assert_eq!(code(claim(0, 5)), ReasonCode::PictureDamaged);
    let refused = claim(12_000, 12_000).unwrap_err().reason;
    assert_eq!((&*refused.parameters["width"], &*refused.parameters["height"]), ("12000", "12000"));

    let mut bytes = jpeg(&corners(16, 16), None);
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(code(header(&bytes)), ReasonCode::PictureTooLarge);
}

#[test]
fn a_progressive_jpeg_is_bounded_by_the_coefficients_that_it_keeps() {
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_progressive(true).unwrap();
    compressor.set_subsamp(turbojpeg::Subsamp::Sub2x2).unwrap();
    let picture = corners(640, 480);
    let image = turbojpeg::Image {
        pixels: picture.as_raw().as_slice(),
        width: 640,
        pitch: 640 * 3,
        height: 480,
        format: turbojpeg::PixelFormat::RGB,
    };
    let mut bytes = compressor.compress_to_vec(image).unwrap();
    assert!(differ_by(&upright(&bytes), &picture) < 3.0);
    let headers = jpeg_headers::JpegHeaders::read(&bytes).unwrap();
    assert_eq!(headers.coefficient_bytes(), 640 * 480 * 3 / 2 * 2);
    // 10,000 x 10,000 would be 300 MB of coefficients, which no reduction saves.
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x27, 0x10, 0x27, 0x10]);
    let header = header(&bytes).unwrap();
    let refused = pixels(&bytes, &header, Wanted { width: 1, height: 1 }).err().unwrap();
    assert_eq!(refused.reason.code, ReasonCode::PictureTooLarge);
}

#[test]
fn what_is_no_picture_and_what_has_no_decoder_are_two_answers() {
    assert_eq!(code(header(b"")), ReasonCode::NotAPicture);
    assert_eq!(code(header(b"just a text")), ReasonCode::NotAPicture);
    let refused = header(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap_err().reason;
    assert_eq!((refused.code, &*refused.parameters["format"]), (ReasonCode::DecoderMissing, "heic"));
    for head in [&b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"] {
        assert_eq!(code(header(head)), ReasonCode::PictureDamaged);
    }
}

use super::*;
use image::{ExtendedColorType, ImageEncoder as _, Rgb, RgbImage, codecs::png::PngEncoder};
use std::io::Cursor;

const RED: [u8; 3] = [220, 20, 20];
const GREEN: [u8; 3] = [20, 200, 20];
const BLUE: [u8; 3] = [20, 20, 220];
const WHITE: [u8; 3] = [235, 235, 235];

/// A colour in each corner.
fn corners(width: u32, height: u32) -> Pixels {
    let picture = RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => Rgb(RED),
        (false, true) => Rgb(GREEN),
        (true, false) => Rgb(BLUE),
        (false, false) => Rgb(WHITE),
    });
    Pixels { width, height, rgb: picture.into_raw() }
}

fn png(pixels: &Pixels) -> Vec<u8> {
    let mut coded = Vec::new();
    PngEncoder::new(&mut coded).write_image(&pixels.rgb, pixels.width, pixels.height, ExtendedColorType::Rgb8).unwrap();
    coded
}

/// A JPEG with an EXIF block: orientation, a text, and a small JPEG in its second directory.
fn with_exif(jpeg: &[u8], orientation: u8, small: &[u8]) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let text = b"a secret place\0\0";
    let second = 8 + 2 + 2 * 12 + 4 + text.len() as u32;
    let small_at = second + 2 + 2 * 12 + 4;
    let block = [
        b"II*\0\x08\0\0\0\x02\0".to_vec(),
        entry(0x010e, 2, text.len() as u32, 8 + 2 + 2 * 12 + 4),
        entry(0x0112, 3, 1, u32::from(orientation)),
        second.to_le_bytes().to_vec(),
        text.to_vec(),
        b"\x02\0".to_vec(),
        entry(0x0201, 4, 1, small_at),
        entry(0x0202, 4, 1, small.len() as u32),
        vec![0; 4],
        small.to_vec(),
    ]
    .concat();
    let length = (block.len() + 8) as u16;
    [&jpeg[..2], &[0xff, 0xe1], &length.to_be_bytes(), b"Exif\0\0", &block, &jpeg[2..]].concat()
}

fn opened(thumbnail: &[u8]) -> Pixels {
    let header = decode::header(thumbnail).unwrap();
    assert_eq!((header.format, header.orientation), (Format::Jpeg, Orientation::UPRIGHT));
    decode::pixels(thumbnail, &header, Wanted::ALL).unwrap()
}

/// The colours in the four corners, row by row.
fn colours(picture: &Pixels) -> [[u8; 3]; 4] {
    let nearest = |x: u32, y: u32| {
        let at = (y as usize * picture.width as usize + x as usize) * 3;
        let found = &picture.rgb[at..at + 3];
        let distance = |colour: &[u8; 3]| found.iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        let colour = [RED, GREEN, BLUE, WHITE].into_iter().min_by_key(distance).unwrap();
        assert!(distance(&colour) < 60, "{found:?} is no colour of the picture's");
        colour
    };
    let (right, low) = (picture.width * 3 / 4, picture.height * 3 / 4);
    let (left, high) = (picture.width / 4, picture.height / 4);
    [nearest(left, high), nearest(right, high), nearest(left, low), nearest(right, low)]
}

#[test]
fn it_is_upright_small_and_says_nothing_but_its_pixels() {
    let stored = jpeg(&corners(1_200, 800)).unwrap();
    let bytes = with_exif(&stored, 6, &[]);
    let thumbnail = thumbnail_of_bytes(&bytes).unwrap();
    let picture = opened(&thumbnail);
    assert_eq!((picture.width, picture.height), (213, 320));
    // Turned by a quarter clockwise: what was lower left is upper left.
    assert_eq!(colours(&picture), [BLUE, RED, WHITE, GREEN]);
    assert!(!thumbnail.windows(6).any(|part| part == b"secret" || part == b"Exif\0\0"));
    assert!(thumbnail.len() < 30_000);
}

#[test]
fn proportions_are_kept_and_nothing_is_made_larger() {
    for (stored, expected) in [
        ((100, 40), (100, 40)),
        ((320, 320), (320, 320)),
        ((321, 1), (320, 1)),
        ((3_000, 2), (320, 1)),
        ((640, 480), (320, 240)),
        ((480, 641), (240, 320)),
    ] {
        let picture = opened(&thumbnail_of_bytes(&png(&corners(stored.0, stored.1))).unwrap());
        assert_eq!((picture.width, picture.height), expected, "{stored:?}");
    }
}

#[test]
fn a_picture_that_cannot_be_decoded_shows_the_small_one_in_it() {
    let (large, small) = (jpeg(&corners(800, 600)).unwrap(), jpeg(&corners(160, 120)).unwrap());
    let whole = with_exif(&large, 3, &small);
    assert_eq!(opened(&thumbnail_of_bytes(&whole).unwrap()).width, 320, "the picture itself, where it can be decoded");
    let half = &whole[..whole.len() * 2 / 3];
    let picture = opened(&thumbnail_of_bytes(half).unwrap());
    assert_eq!((picture.width, picture.height), (160, 120));
    assert_eq!(colours(&picture), [WHITE, BLUE, GREEN, RED], "turned as the picture around it");

    let without = with_exif(&large, 1, &[]);
    let error = thumbnail_of_bytes(&without[..without.len() / 2]).unwrap_err();
    assert_eq!(error.reason.code, ReasonCode::PictureDamaged, "of the picture, not of what is not in it");
    let liar = with_exif(&large, 1, b"\xff\xd8\xff no JPEG");
    assert_eq!(thumbnail_of_bytes(&liar[..liar.len() / 2]).unwrap_err().reason.code, ReasonCode::PictureDamaged);
}

#[test]
fn what_is_no_picture_is_refused_with_its_reason() {
    let code = |bytes: &[u8]| thumbnail_of_bytes(bytes).unwrap_err().reason.code;
    assert_eq!(code(b"plain text"), ReasonCode::NotAPicture);
    assert_eq!(code(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), ReasonCode::DecoderMissing);
    let mut bomb = png(&corners(40, 30));
    bomb[16..24].copy_from_slice(&[0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff]);
    assert_eq!(code(&bomb), ReasonCode::PictureTooLarge);
}

#[test]
fn a_jpeg_of_a_million_pixels_is_decoded_at_an_eighth() {
    // What the bound on memory rests on: the reduction is taken while decoding.
    let bytes = jpeg(&corners(4_000, 3_000)).unwrap();
    let header = decode::header(&bytes).unwrap();
    let pixels = decode::pixels(&bytes, &header, wanted(&header)).unwrap();
    assert_eq!((pixels.width, pixels.height), (500, 375));
    assert_eq!(
        image::ImageReader::new(Cursor::new(of_pixels(&mut Resizer::new(), &header, &pixels).unwrap()))
            .with_guessed_format()
            .unwrap()
            .into_dimensions()
            .unwrap(),
        (320, 240)
    );
}

//! Pixels to a model's input: resized as stored, turned while packed, so that turning costs nothing.

use crate::{
    AnalyseError,
    decode::{Header, Pixels, Wanted},
    placement::Placement,
    resize::resize,
    upright::{Upright, upright_size},
};
use fast_image_resize::Resizer;
use snaptrak_domain::{Orientation, engine::Tensor};
use snaptrak_inference::registry::{ColourOrder, InputContract, Layout};

/// What must be decoded so that `input` is filled without making the picture larger than it is.
pub(crate) fn wanted(input: &InputContract, header: &Header) -> Wanted {
    let (width, height) = header.upright_size();
    let placement = Placement::new(input, width, height);
    let (width, height) = upright_size(placement.across.filled, placement.down.filled, header.orientation);
    Wanted { width, height }
}

/// Packs `pixels` (as stored) into the tensor of `input`; `placement` belongs to the upright original.
pub(crate) fn pack(
    resizer: &mut Resizer,
    pixels: &Pixels,
    orientation: Orientation,
    input: &InputContract,
    placement: &Placement,
) -> Result<Tensor, AnalyseError> {
    // Everything is symmetric but width and height, so turning back is the same exchange of sides.
    let (across, down) =
        if orientation.swaps_sides() { (placement.down, placement.across) } else { (placement.across, placement.down) };
    let (stored_width, stored_height) = (across.filled, down.filled);
    let resized = resize(resizer, pixels, (stored_width, stored_height), (across.margin(), down.margin()))?;
    let upright = Upright::new(stored_width, stored_height, orientation);
    let table = value_of_byte(input);
    let bar = table[usize::from(input.letterbox_value)];
    let mut data = vec![bar; input.shape.iter().product()];
    let (pixel_step, channel_step) = match input.layout {
        Layout::Nhwc => (3, 1),
        Layout::Nchw => (1, data.len() / 3),
    };
    let channels = match input.colour_order {
        ColourOrder::Rgb => [0, 1, 2],
        ColourOrder::Bgr => [2, 1, 0],
    };
    for y in 0..upright.height {
        let row = (placement.down.filled_start + y) as usize * placement.input_width as usize;
        let row = row + placement.across.filled_start as usize;
        for (x, stored) in upright.row(y).enumerate() {
            let at = (row + x) * pixel_step;
            for (place, channel) in channels.into_iter().enumerate() {
                data[at + place * channel_step] = table[usize::from(resized.rgb[stored * 3 + channel])];
            }
        }
    }
    Ok(Tensor { name: input.name.clone(), shape: input.shape.clone(), data })
}

fn value_of_byte(input: &InputContract) -> [f32; 256] {
    std::array::from_fn(|byte| byte as f32 * input.normalisation.scale + input.normalisation.offset)
}

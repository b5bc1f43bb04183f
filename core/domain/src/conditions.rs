//! What the app knows of the moment: how warm the device is, whether its battery is spared, whether a person looks at the app.
//! Hints, which may overrule what was measured: a measurement says what is quick, not what is wise just now.

use crate::engine::Accelerator;
use serde::{Deserialize, Serialize};

/// Whether the app is in front. What holds in front need not hold behind: iOS ends GPU work of an app that is not, and other
/// systems give it another clock rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A person looks at it.
    #[default]
    Foreground,
    /// Nobody does.
    Background,
}

impl Place {
    /// The word in JSON and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Foreground => "foreground",
            Self::Background => "background",
        }
    }
}

/// How warm the device says it is: iOS's `thermalState`, Android's `PowerManager.getCurrentThermalStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Thermal {
    /// Cool.
    #[default]
    Nominal,
    /// Warm, nothing to do about it (Android: light).
    Fair,
    /// Hot, and slower for it (Android: moderate, severe).
    Serious,
    /// Work has to stop (Android: critical and above).
    Critical,
}

/// The moment in which an analysis runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// Whether the app is in front.
    pub place: Place,
    /// How warm the device is.
    pub thermal: Thermal,
    /// Whether the person, or the system, asked to spare the battery.
    pub low_power: bool,
}

/// Why an accelerator is not taken just now, whatever was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overruled {
    /// The system forbids it behind.
    Background,
    /// The device is hot.
    Thermal,
    /// The battery is spared.
    LowPower,
}

impl Overruled {
    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Thermal => "thermal",
            Self::LowPower => "low_power",
        }
    }
}

impl Conditions {
    /// What speaks against `accelerator` now. Where heat or battery count, the GPU is left alone; an NPU is what spends least on an
    /// answer, less than the processor, and stays.
    pub fn overrule(&self, accelerator: Accelerator, gpu_in_background: bool) -> Option<Overruled> {
        match accelerator {
            Accelerator::Cpu | Accelerator::Npu => None,
            Accelerator::Gpu if self.place == Place::Background && !gpu_in_background => Some(Overruled::Background),
            Accelerator::Gpu => self.spare(),
        }
    }

    /// Whether this is no time to measure: a trial is extra work, and what a hot or sparing device measures is not what it
    /// can.
    pub fn spare(&self) -> Option<Overruled> {
        match (self.thermal, self.low_power) {
            (Thermal::Serious | Thermal::Critical, _) => Some(Overruled::Thermal),
            (Thermal::Nominal | Thermal::Fair, true) => Some(Overruled::LowPower),
            (Thermal::Nominal | Thermal::Fair, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_and_a_spared_battery_leave_the_gpu_alone_and_keep_the_npu() {
        for thermal in [Thermal::Nominal, Thermal::Fair, Thermal::Serious, Thermal::Critical] {
            for low_power in [false, true] {
                let conditions = Conditions { thermal, low_power, ..Conditions::default() };
                let is_hot = thermal >= Thermal::Serious;
                let wanted = is_hot.then_some(Overruled::Thermal).or(low_power.then_some(Overruled::LowPower));
                assert_eq!(conditions.overrule(Accelerator::Gpu, true), wanted, "{conditions:?}");
                assert_eq!(conditions.spare(), wanted, "{conditions:?}");
                for accelerator in [Accelerator::Npu, Accelerator::Cpu] {
                    assert_eq!(conditions.overrule(accelerator, false), None, "{conditions:?}");
                }
            }
        }
    }

    #[test]
    fn a_gpu_runs_behind_only_where_the_system_lets_it() {
        let behind = Conditions { place: Place::Background, ..Conditions::default() };
        assert_eq!(behind.overrule(Accelerator::Gpu, false), Some(Overruled::Background));
        assert_eq!(behind.overrule(Accelerator::Gpu, true), None);
        assert_eq!(behind.overrule(Accelerator::Npu, false), None);
        assert_eq!(Conditions::default().overrule(Accelerator::Gpu, false), None);
    }
}

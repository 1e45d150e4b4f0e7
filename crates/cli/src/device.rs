//! Where a language model computes: the processor, or a graphics card if the program is built for it.

use std::str::FromStr;

use burn::tensor::Device;

use crate::failure::Failure;

/// The option of commands that run models.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct DeviceArgument {
    /// Where to compute: processor, or wgpu or wgpu:N for a graphics card, in a program built with the feature `wgpu`.
    #[arg(long, value_name = "DEVICE", default_value = "processor")]
    device: Place,
}

/// The option of what may compute on several devices.
#[derive(Clone, Debug, clap::Args)]
pub struct DevicesArgument {
    /// Where a language model computes: processor, or wgpu or wgpu:N for a graphics card, in a program built with the feature `wgpu`. Several, as in
    /// wgpu:0,wgpu:1, divide the replicas of the model among them.
    #[arg(long = "device", value_name = "DEVICES", value_delimiter = ',', default_value = "processor")]
    devices: Vec<Place>,
}

impl DevicesArgument {
    /// The first device, and the others.
    ///
    /// # Errors
    /// As [`DeviceArgument::open`].
    pub fn open(&self) -> Result<(Device, Vec<Device>), Failure> {
        let opened = |&device: &Place| DeviceArgument { device }.open();
        let others = self.devices.iter().skip(1).map(opened).collect::<Result<_, _>>()?;
        Ok((self.devices.first().map_or_else(|| Ok(Device::flex()), opened)?, others))
    }
}

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Processor,
    /// The card of a number.
    Wgpu(usize),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (kind, number.parse().map_err(|_| format!("`{number}` is no number"))?),
            None => (text, 0),
        };
        match kind {
            "processor" if kind.len() == text.len() => Ok(Place::Processor),
            "wgpu" => Ok(Place::Wgpu(number)),
            _ => Err("expected processor, wgpu or wgpu:N".into()),
        }
    }
}

impl DeviceArgument {
    /// The device.
    ///
    /// # Errors
    /// [`Failure::Input`] if there is no such device, or the program is not built for it.
    pub fn open(self) -> Result<Device, Failure> {
        match self.device {
            Place::Processor => Ok(Device::flex()),
            Place::Wgpu(number) => wgpu(number),
        }
    }
}

#[cfg(feature = "wgpu")]
fn wgpu(number: usize) -> Result<Device, Failure> {
    use burn::tensor::DeviceType;

    let devices = Device::enumerate(DeviceType::Wgpu).into_vec();
    let count = devices.len();
    devices.into_iter().nth(number).ok_or_else(|| {
        Failure::input(match count {
            0 => "--device wgpu: no graphics card with a driver is found; expected `processor`".to_string(),
            _ => format!("--device wgpu:{number}: expected a number below {count}"),
        })
    })
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(_: usize) -> Result<Device, Failure> {
    Err(Failure::input(
        "--device wgpu: this program is built for the processor alone; \
         expected `processor`, or a program built with `--features wgpu`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        assert_eq!("processor".parse(), Ok(Place::Processor));
        assert_eq!("wgpu".parse(), Ok(Place::Wgpu(0)));
        assert_eq!("wgpu:2".parse(), Ok(Place::Wgpu(2)));
        for wrong in ["", "gpu", "processor:1", "wgpu:", "wgpu:x"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}

//! Bollinger bands.

use serde::{Deserialize, Serialize};

use super::precise::Precise;
use crate::window::Window;

/// The three bands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bands {
    /// The mean less the width.
    pub lower: f64,
    /// The mean.
    pub middle: f64,
    /// The mean plus the width.
    pub upper: f64,
}

/// Bollinger bands: the simple mean of the newest `period` inputs and `width`
/// standard deviations (of the population, dividing by `period`) on either side.
/// The first value comes with input `period`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bollinger {
    window: Window<f64>,
    width: f64,
    sum: Precise,
    squares: Precise,
}

impl Bollinger {
    /// Bands over `period` inputs, `width` standard deviations wide on each side.
    pub fn new(period: usize, width: f64) -> Self {
        Self {
            window: Window::new(period),
            width,
            sum: Precise::default(),
            squares: Precise::default(),
        }
    }

    /// Takes an input and returns the bands, once there are any.
    pub fn update(&mut self, input: f64) -> Option<Bands> {
        if input.is_finite() {
            self.sum = self.sum.plus(input.into());
            self.squares = self.squares.plus(Precise::product(input, input));
            if let Some(left) = self.window.push(input) {
                self.sum = self.sum.minus(left.into());
                self.squares = self.squares.minus(Precise::product(left, left));
            }
            if self.window.has_turned() {
                self.sum_anew();
            }
        }
        self.value()
    }

    /// Once in `period` inputs, so that it costs one more addition an input. A
    /// square root makes an error of 1e-20 one of 1e-10, and errors add up over
    /// a long run.
    fn sum_anew(&mut self) {
        self.sum = Precise::default();
        self.squares = Precise::default();
        for input in self.window.iter() {
            self.sum = self.sum.plus((*input).into());
            self.squares = self.squares.plus(Precise::product(*input, *input));
        }
    }

    /// The standard deviation of the newest inputs, dividing by `period`.
    pub fn deviation(&self) -> Option<f64> {
        let period = self.window.size() as f64;
        // n Σx² − (Σx)² is n² times the variance. The sums are precise enough
        // for the difference of two nearly equal numbers.
        let spread =
            Precise::from(period).times(self.squares).minus(self.sum.times(self.sum)).value();
        self.window.is_full().then(|| if spread > 0.0 { spread.sqrt() / period } else { 0.0 })
    }

    /// The bands of the newest inputs.
    pub fn value(&self) -> Option<Bands> {
        let deviation = self.deviation()?;
        let middle = self.sum.value() / self.window.size() as f64;
        let reach = self.width * deviation;
        Some(Bands { lower: middle - reach, middle, upper: middle + reach })
    }
}

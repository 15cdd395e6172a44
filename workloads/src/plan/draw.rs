//! Random draws whose results are the same on every platform.
//!
//! The platform's `ln`, `exp` and `pow` differ in their last bit from one C
//! library to the next, and a last bit decides which of two events comes first.
//! So these use `+ - * /`, the square root and the conversion to whole numbers
//! only, which IEEE 754 fixes exactly. They also fix how many bits of the
//! generator each draw takes, so that no other crate's version moves a plan.

use rand::Rng;

mod zipf;

pub use zipf::Zipf;

/// A whole number below `bound`, uniformly; 0 when `bound` is 0. It takes 64
/// bits; the bias is below `bound` in 2^64.
#[inline]
pub fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

/// As [`below`], for 32 bits. It takes 32 bits; the bias is below `bound` in 2^32.
#[inline]
pub fn below_u32(rng: &mut impl Rng, bound: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(bound)) >> 32) as u32
}

/// A number above 0 and at most 1, uniformly, in steps of 2^-53.
#[inline]
pub fn unit(rng: &mut impl Rng) -> f64 {
    ((rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Exponential with mean 1.
#[inline]
pub fn exponential(rng: &mut impl Rng) -> f64 {
    -ln(unit(rng))
}

/// Normal with mean 0 and standard deviation 1 (Marsaglia's polar method, of
/// which the second value is left unused so that no draw depends on the one before).
pub fn normal(rng: &mut impl Rng) -> f64 {
    loop {
        let x = 2.0 * unit(rng) - 1.0;
        let y = 2.0 * unit(rng) - 1.0;
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * ln(square) / square).sqrt();
        }
    }
}

/// Log-normal: `median` times e to the power of `sigma` normal deviations.
pub fn log_normal(rng: &mut impl Rng, median: f64, sigma: f64) -> f64 {
    median * exp(sigma * normal(rng))
}

const LN_2: f64 = std::f64::consts::LN_2;
/// The upper 33 bits of ln 2: its product with an exponent is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
/// The rest of ln 2.
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// The natural logarithm of a positive normal number, to about 1e-15 of it.
#[inline]
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh(z), whose series in z^2 (at most 0.0295) converges quickly.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let w = z * z;
    let mut sum = 1.0 / 19.0;
    for term in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        sum = sum * w + 1.0 / term;
    }
    let exponent = exponent as f64;
    exponent * LN_2_HIGH + (2.0 * z + (2.0 * z * w * sum + exponent * LN_2_LOW))
}

/// e to the power of `x`, to about 1e-15 of it; 0 below -700, and stops at the
/// value for 700.
#[inline]
pub fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let x = x.min(700.0);
    // Rounded to the nearest by truncation of a positive number.
    let exponent = (x / LN_2 + 1100.5) as i64 - 1100;
    let r = (x - exponent as f64 * LN_2_HIGH) - exponent as f64 * LN_2_LOW;
    let mut sum = 1.0;
    for term in [13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        sum = sum * (r * (1.0 / term)) + 1.0;
    }
    sum * f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests;

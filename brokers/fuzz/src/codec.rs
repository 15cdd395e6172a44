//! Decoders: any cut of the bytes gives the same frames and the same error, and what
//! was read is written and read again as the same bytes.

use broker_contract::{Broker, Codec, Decoder, Frame, FrameError, Step};
use broker_nats::codec::NatsText;
use broker_redis::codec::{Resp, RespLimits};

/// Bytes of a frame that a fuzzed decoder accepts.
const LIMIT: u32 = 1 << 20;

fn resp() -> Resp {
    Resp { limits: RespLimits { bulk: LIMIT, frame: LIMIT } }
}

/// What clients of the bus send.
pub fn redis_up(data: &[u8]) {
    up(&resp(), data);
}

/// What a bus sends.
pub fn redis_down(data: &[u8]) {
    down(&resp(), data);
}

/// What clients of NATS send.
pub fn nats_up(data: &[u8]) {
    up(&NatsText::default(), data);
}

/// What a NATS server sends.
pub fn nats_down(data: &[u8]) {
    down(&NatsText::default(), data);
}

fn up<C: Codec>(codec: &C, data: &[u8])
where
    <C::Broker as Broker>::Up: Frame,
{
    cuts(data, || codec.up_decoder(), |frame, out| C::encode_up(frame, out));
}

fn down<C: Codec>(codec: &C, data: &[u8])
where
    <C::Broker as Broker>::Down: Frame,
{
    cuts(data, || codec.down_decoder(), |frame, out| C::encode_down(frame, out));
}

/// The first two bytes say where the others are cut.
fn cuts<D: Decoder>(data: &[u8], decoder: impl Fn() -> D, encode: impl Fn(&D::Frame, &mut Vec<u8>))
where
    D::Frame: Frame,
{
    let [one, two, bytes @ ..] = data else { return };
    let at = |byte: u8| usize::from(byte).min(bytes.len());
    let (first, second) = (at(*one).min(at(*two)), at(*one).max(at(*two)));
    let whole = read(decoder(), &[bytes]);
    let cut = read(decoder(), &[&bytes[..first], &bytes[first..second], &bytes[second..]]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let single = read(decoder(), &single);
    let written = |frames: &[D::Frame]| -> Vec<Vec<u8>> {
        let one = |frame: &D::Frame| {
            let mut out = Vec::new();
            encode(frame, &mut out);
            assert_eq!(out.len(), frame.wire_len(), "a frame is as long as it says");
            out
        };
        frames.iter().map(one).collect()
    };
    let expected = written(&whole.0);
    assert_eq!((&expected, &whole.1), (&written(&cut.0), &cut.1), "a cut changes nothing");
    assert_eq!((&expected, &whole.1), (&written(&single.0), &single.1), "nor do many");
    for bytes in expected {
        let (frames, error) = read(decoder(), &[&bytes]);
        assert_eq!(error, None, "what is written is read: {}", bytes.escape_ascii());
        assert_eq!(written(&frames), [bytes], "and means the same");
    }
}

/// Everything in the pieces, one after the other.
pub(crate) fn read<D: Decoder>(
    mut decoder: D,
    pieces: &[&[u8]],
) -> (Vec<D::Frame>, Option<FrameError>) {
    let (mut frames, mut kept) = (Vec::new(), Vec::new());
    for piece in pieces {
        kept.extend_from_slice(piece);
        loop {
            match decoder.decode(&kept) {
                Ok(Step::Frame { frame, used }) => {
                    assert!(used <= kept.len(), "no more is used than there is");
                    kept.drain(..used);
                    frames.push(frame);
                }
                Ok(Step::More { used }) => {
                    kept.drain(..used);
                    break;
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

//! Frames on the one stream: lengths judged before a byte is kept, writes bounded in time (A3).

use std::{future::poll_fn, pin::pin, task::Poll};

use quinn::{RecvStream, SendStream};
use usher_protocol::{
    codec::{self, CodecError, FRAME_PREFIX_BYTES},
    wire::{ClientFrame, ServerFrame},
};

use crate::limits::WRITE_MS_MAX;

/// Why no further frame comes.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The peer sent what is no frame.
    #[error("{0}")]
    Codec(#[from] CodecError),
    /// The stream or the connection is gone.
    #[error("the connection is gone")]
    Gone,
}

/// Reads frames; cancelling a read loses nothing.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: RecvStream,
    frames: Frames,
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            frames: Frames::default(),
        }
    }

    /// The next frame; none when the client has finished its stream between two frames.
    pub(super) async fn next(&mut self) -> Result<Option<ClientFrame>, FrameError> {
        loop {
            if let Some(frame) = self.frames.take()? {
                return Ok(Some(frame));
            }
            let chunk = self.stream.read_chunk(CHUNK_BYTES_MAX, true).await;
            match chunk.map_err(|_| FrameError::Gone)? {
                Some(chunk) => self.frames.put(&chunk.bytes),
                None if self.frames.kept.is_empty() => return Ok(None),
                None => {
                    let cut = CodecError::Malformed("the stream ends within a frame".to_owned());
                    return Err(cut.into());
                }
            }
        }
    }
}

/// Frames out of bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    kept: Vec<u8>,
}

impl Frames {
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// The first whole frame among the bytes kept.
    pub(super) fn take(&mut self) -> Result<Option<ClientFrame>, CodecError> {
        let Some((prefix, rest)) = self.kept.split_first_chunk::<FRAME_PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = codec::frame_length(u64::from(u32::from_be_bytes(*prefix)))?;
        let Some(bytes) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = ClientFrame::decode(bytes);
        if rest.len() == length {
            // An idle connection keeps no buffer.
            self.kept = Vec::new();
        } else {
            self.kept.drain(..FRAME_PREFIX_BYTES + length);
        }
        frame.map(Some)
    }
}

/// Writes all of `bytes`, or gives the client up: a slow reader holds nothing for long (A3).
///
/// The timer stops in a suspend; nothing but patience hangs on it. What finds room at once, as nearly all does, needs none.
pub(super) async fn write(stream: &mut SendStream, bytes: Vec<u8>) -> Result<(), FrameError> {
    let mut writing = pin!(stream.write_chunk(bytes.into()));
    let at_once = poll_fn(|context| Poll::Ready(writing.as_mut().poll(context))).await;
    let written = match at_once {
        Poll::Ready(written) => Ok(written),
        Poll::Pending => tokio::time::timeout(WRITE_MS_MAX.to_std(), writing).await,
    };
    match written {
        Ok(Ok(())) => Ok(()),
        _ => Err(FrameError::Gone),
    }
}

/// Encodes, encrypts nothing, sends one frame.
pub(super) async fn send(stream: &mut SendStream, frame: &ServerFrame) -> Result<(), FrameError> {
    write(stream, frame.encode()?).await
}

const CHUNK_BYTES_MAX: usize = 64 * 1024;

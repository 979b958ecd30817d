//! The codecs of batches: what is decompressed is bounded, and what compaction rewrites keeps its codec.

use std::io::{self, Read, Write};

use kafka_protocol::records::Compression;

/// What a batch may be decompressed to. A few kilobytes can be made to expand a thousandfold; the largest honest batch
/// is far below this.
const MAX_BODY_BYTES: u64 = 128 * 1024 * 1024;
/// With which snappy-java begins its framing: then come a version, a compatible version, and length-prefixed blocks.
/// Other clients send one bare block.
const SNAPPY_JAVA_MAGIC: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_JAVA_VERSIONS: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1];
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;

/// Why bytes can't be decompressed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecompressError {
    #[error("the batch can't be decompressed: {0}")]
    Invalid(#[source] io::Error),
    #[error("the batch decompresses to more than {MAX_BODY_BYTES} bytes: send smaller batches")]
    TooLarge,
}

/// Undoes [`compress`], whichever client did it.
///
/// # Errors
/// When the bytes are not of that codec, or would grow beyond the bound.
pub(super) fn decompress(codec: Compression, packed: &[u8]) -> Result<Vec<u8>, DecompressError> {
    match codec {
        Compression::None => Ok(packed.to_vec()),
        Compression::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(packed)),
        Compression::Lz4 => {
            read_bounded(lz4::Decoder::new(packed).map_err(DecompressError::Invalid)?)
        }
        Compression::Zstd => {
            read_bounded(zstd::Decoder::new(packed).map_err(DecompressError::Invalid)?)
        }
        Compression::Snappy => unsnap(packed),
    }
}

/// Compresses as Kafka's own clients do.
///
/// # Errors
/// When the codec fails, which it has no reason to.
pub(super) fn compress(codec: Compression, plain: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        Compression::None => Ok(plain.to_vec()),
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain)?;
            encoder.finish()
        }
        Compression::Lz4 => {
            let mut builder = lz4::EncoderBuilder::new();
            let mut encoder = builder.block_mode(lz4::BlockMode::Independent).build(Vec::new())?;
            encoder.write_all(plain)?;
            let (packed, result) = encoder.finish();
            result.map(|()| packed)
        }
        Compression::Zstd => zstd::encode_all(plain, zstd::DEFAULT_COMPRESSION_LEVEL),
        Compression::Snappy => snap(plain),
    }
}

fn snap(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = [SNAPPY_JAVA_MAGIC, SNAPPY_JAVA_VERSIONS].concat();
    for block in plain.chunks(SNAPPY_BLOCK_BYTES) {
        let block = snap::raw::Encoder::new().compress_vec(block)?;
        let length = u32::try_from(block.len()).map_err(io::Error::other)?;
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(&block);
    }
    Ok(packed)
}

fn read_bounded(from: impl Read) -> Result<Vec<u8>, DecompressError> {
    let mut unpacked = Vec::new();
    from.take(MAX_BODY_BYTES + 1).read_to_end(&mut unpacked).map_err(DecompressError::Invalid)?;
    if unpacked.len() as u64 > MAX_BODY_BYTES {
        return Err(DecompressError::TooLarge);
    }
    Ok(unpacked)
}

fn unsnap(packed: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let mut unpacked = Vec::new();
    if !packed.starts_with(SNAPPY_JAVA_MAGIC) {
        unsnap_block(packed, &mut unpacked)?;
        return Ok(unpacked);
    }
    let cut_short = || DecompressError::Invalid(io::ErrorKind::UnexpectedEof.into());
    let mut blocks =
        packed.get(SNAPPY_JAVA_MAGIC.len() + SNAPPY_JAVA_VERSIONS.len()..).ok_or_else(cut_short)?;
    while !blocks.is_empty() {
        let length = blocks.split_off(..4).and_then(|length| length.first_chunk::<4>().copied());
        let length = usize::try_from(u32::from_be_bytes(length.ok_or_else(cut_short)?));
        let block = length.ok().and_then(|length| blocks.split_off(..length));
        unsnap_block(block.ok_or_else(cut_short)?, &mut unpacked)?;
    }
    Ok(unpacked)
}

fn unsnap_block(block: &[u8], unpacked: &mut Vec<u8>) -> Result<(), DecompressError> {
    let invalid = |error: snap::Error| DecompressError::Invalid(error.into());
    let length = snap::raw::decompress_len(block).map_err(invalid)?;
    let begin = unpacked.len();
    if (begin + length) as u64 > MAX_BODY_BYTES {
        return Err(DecompressError::TooLarge);
    }
    unpacked.resize(begin + length, 0);
    snap::raw::Decoder::new().decompress(block, &mut unpacked[begin..]).map_err(invalid)?;
    Ok(())
}

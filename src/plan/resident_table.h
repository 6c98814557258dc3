// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "plan/byte_stream.h"
#include "plan/plan.h"

namespace tutti {

/// Bytes of a block that have one checksum.
inline constexpr uint64_t kSliceBytes = uint64_t{1} << 20;
/// Stored blocks start at multiples of this and are filled up to one with zeros.
inline constexpr uint64_t kBlockAlignment = 64;

/// A file outside of the engine that holds weights.
struct WeightFile {
  std::string path;
  uint64_t bytes = 0;
};

/// Bytes that residents view: in the engine's own weights, or in another file.
struct WeightBlock {
  uint32_t file = 0;    ///< 0: the engine's weights; otherwise 1 + index of a WeightFile
  uint64_t offset = 0;  ///< from the start of the weights, or of that file
  uint64_t bytes = 0;
  std::vector<uint64_t> sums;  ///< of each slice; for stored blocks the zeros after it included
  std::span<const std::byte> source;  ///< where they are, while an engine is written

  /// Bytes that the checksums cover.
  uint64_t summed_bytes() const;
};

/// Where the content of a resident is; its type is the graph's.
struct ResidentBytes {
  enum class State : uint8_t { none, empty, block } state = State::none;
  uint32_t block = 0;
  uint64_t first = 0;  ///< byte of the block where element 0 is
  Dims strides;
};

/// Where all weights of an engine are.
struct ResidentTable {
  std::vector<WeightFile> files;
  std::vector<WeightBlock> blocks;
  std::vector<ResidentBytes> residents;  ///< by ResidentId

  /// Bytes of the weights in the engine.
  uint64_t stored_bytes() const;
};

/// What an engine at `path` stores or, when stripped, refers to. Sums are not yet there.
///
/// A weight that only `init` reads is left out when all that `init` makes is stored; where inputs
/// have symbolic extents, when `init` packs it and computes nothing else from it.
ResidentTable make_resident_table(const Program& program, const std::string& path, bool strip);

/// Fills the checksums from the source bytes.
void add_checksums(ResidentTable& table);

std::string encode_residents(const ResidentTable& table);

/// Checks every number: blocks lie in their files, stored ones follow each other, residents with
/// their strides lie in their blocks. Throws corrupt.
ResidentTable decode_residents(ByteReader& in, const Graph& graph, uint64_t stored_bytes);

}  // namespace tutti

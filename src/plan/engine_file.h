// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "plan/plan.h"

namespace tutti {

/// Newest version of the format, and the only one there is; docs/engine_file.md describes it.
inline constexpr uint32_t kEngineVersion = 3;

/// How an engine is written.
struct WriteOptions {
  std::string isa;     ///< instruction set whose layouts derived residents have
  bool strip = false;  ///< weights from mapped files are referred to, derived ones left out
};

/// Writes graph, plans and weights, whole or not at all.
///
/// A weight that only `init` reads is left out when all that `init` makes is stored. Throws
/// invalid_argument for a program that check_plans refuses, io.
void write_engine(const std::string& path, const Program& program, const WriteOptions& options);

/// How an engine is read.
struct ReadOptions {
  /// The instruction set in use. When the file has another one, derived residents are about to be
  /// packed again: their checksums are compared first.
  std::string isa;
  /// Where the weights of a stripped engine are: a file, or the folder that has them under their
  /// old names. Empty: where they were, or else beside the engine.
  std::string weights;
  bool check = false;             ///< reads all weights and compares their checksums
  bool ignore_checksums = false;  ///< tests the checks behind them
};

/// What an engine file holds.
struct EngineFile {
  Program program;
  uint32_t version = kEngineVersion;
  std::string isa;
  uint64_t file_bytes = 0, weight_bytes = 0;  ///< of the file, and of the weights stored in it
  std::vector<std::string> weight_files;      ///< files referred to, as found
};

/// Reads an engine; weights are views of the mapped file.
///
/// Everything is checked before use, so that sessions touch no memory but their own; checksums of
/// weights only as the options say. Derived residents of a stripped engine have no bytes. Throws
/// corrupt, unsupported for a newer version, not_found for a missing file.
EngineFile read_engine(const std::string& path, const ReadOptions& options = {});
EngineFile read_engine(std::shared_ptr<const MappedFile> file, const ReadOptions& options = {});

/// Reads everything and compares all checksums; throws corrupt naming the damaged resident and the
/// bytes of the file where it is damaged.
EngineFile check_engine(const std::string& path, const std::string& weights = {});

}  // namespace tutti

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "ir/graph.h"

namespace tutti {

/// What an imported program consisted of.
struct ImportReport {
  size_t nodes = 0;                         ///< calls, those in sub-graphs included
  std::map<std::string, size_t> operators;  ///< how often each target is called
  size_t unused = 0;     ///< parameters, buffers and constants that nothing reads
  SymbolValues example;  ///< of symbols that inputs have, in the example that was exported
};

struct ImportOptions {
  std::string model;               ///< which program of the archive; the only one, when empty
  ImportReport* report = nullptr;  ///< filled when given
};

/// Reads a .pt2 file of torch.export.save as a graph of one function, `run`.
///
/// Inputs are the user's tensors in the order of the call's flattened arguments, under their names
/// in the file; outputs are called "out", or "out.0", "out.1.key", ... when there are several, and
/// "input.NAME" for an input that the program writes into. Parameters, buffers and constants are
/// residents under their qualified names, their bytes in the mapped file (none for device `meta`);
/// buffers that the program changes are carried. Symbols keep their names and ranges.
///
/// Throws unsupported naming every operator that is not known; not_found, corrupt and unsupported
/// as the reader of the archive.
Graph import_pt2(const std::string& path, const ImportOptions& options = {});

}  // namespace tutti

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tutti/communicator.h"
#include "tutti/engine.h"
#include "tutti/error.h"
#include "tutti/graph.h"
#include "tutti/log.h"
#include "tutti/session.h"
#include "tutti/tensor.h"

namespace tutti {

/// The version of the library: "0.1.0".
std::string_view version();

/// Something that this machine or build has, for people: `tutti doctor` prints these.
struct SystemFact {
  std::string name;    ///< "cpu", "cores", "oneDNN", ...
  std::string found;   ///< what there is, and where
  std::string advice;  ///< what is missing, what that costs and how to get it; empty: all is well
};

/// Instruction sets, cores, memory, and the libraries in use.
std::vector<SystemFact> system_facts();

}  // namespace tutti

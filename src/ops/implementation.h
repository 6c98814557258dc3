// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "ir/op.h"

namespace tutti {

/// What an implementation is chosen for: an operator with the types and strides of its operands
/// (tensors without data) and the number of threads it will run on.
struct KernelSpec {
  const Op& op;
  std::span<const Tensor> in;
  std::span<const Tensor> out;
  int threads = 1;
};

/// An operator made ready for fixed types and strides. run allocates nothing.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Bytes of workspace that run wants, aligned to 64.
  virtual size_t workspace() const { return 0; }
  /// Runs once; args have the types and strides of the spec.
  virtual void run(const KernelArgs& args) = 0;
};

/// One way of computing an operator on the CPU: a row of a table.
struct Implementation {
  std::string_view op;    ///< operator name
  std::string_view name;  ///< e.g. "own", "onednn", "plain"
  /// The ready kernel, or null when these types or strides are none it takes.
  std::unique_ptr<Kernel> (*prepare)(const KernelSpec& spec);
};

/// All implementations, the preferred ones of an operator first. Every operator also has "plain":
/// its own cpu(), which is in no row.
std::span<const Implementation> implementations();

/// The implementation of that name, made ready, and its name; where that one is absent or does not
/// take the spec, or the name is "", the first that takes it.
std::pair<std::unique_ptr<Kernel>, std::string_view> prepare_kernel(const KernelSpec& spec,
                                                                    std::string_view name = {});

}  // namespace tutti

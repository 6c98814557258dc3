// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "comm/gloo/lane.h"

namespace tutti::comm {

/// Whether this build has Gloo.
bool has_gloo();

/// Gloo's thread that moves bytes, bound to an address of this host; groups share it.
class WireDevice;

/// Throws unsupported when this build has no Gloo, io for an address that is not this host's.
std::shared_ptr<WireDevice> open_device(const std::string& address);

/// One rank's TCP connections to others of a group, made by Gloo.
class Wire {
 public:
  Wire(std::shared_ptr<WireDevice> device, int rank, int size);
  /// Closes at once: what has not reached the other ends is lost.
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  /// Opens this end of the connection to rank r; what the other end's connect wants.
  std::string listen(int r);
  /// Blocks until rank r connects too, or close() ends it; throws comm.
  void connect(int r, const std::string& address);
  /// From another thread.
  void close() noexcept;

  /// The port of lane `lane` to rank r: `out` and `in` are `bytes` bytes each, which live longer
  /// than the wire.
  std::unique_ptr<Port> port(int r, int lane, std::byte* out, std::byte* in, size_t bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tutti::comm

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace tutti::comm {

/// Sizes of messages between ranks over TCP; all ranks use the same.
struct TcpOptions {
  size_t piece_bytes = 128 << 10;      ///< of the pieces of a collective; less in large groups
  size_t pair_piece_bytes = 64 << 10;  ///< of the pieces of a send
  size_t short_bytes = 8 << 10;        ///< data up to this go along with the first message
  size_t by_hosts_bytes = 32 << 10;    ///< from this on a hierarchical group goes by hosts
};

}  // namespace tutti::comm

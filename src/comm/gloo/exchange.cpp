// SPDX-License-Identifier: Apache-2.0
// Data that are too long for the first message, in pieces. A rank sends a piece before it waits for
// the one before, so that pieces travel while others are reduced; a lane holds more than are ever
// on their way, so that nobody waits for room in a ring.
#include <algorithm>

#include "comm/gloo/gloo_transport.h"
#include "comm/part.h"
#include "comm/reduce.h"

namespace tutti::comm {

/// Of blocks of so many bytes, which must be the same on all ranks: some, so that they overlap.
size_t GlooTransport::piece_bytes(size_t bytes) const {
  constexpr size_t kPieces = 4, kLeast = 16 << 10;
  const size_t most = lanes_.capacity() / 64 * 64;
  return std::min(most, std::max(bytes / kPieces / 64 * 64, kLeast));
}

void GlooTransport::reduce_pieces(const Work& w, Inputs& ins, void* out, size_t bytes) {
  reduce_elements(w.c.dtype, w.c.reduce, std::span(ins.data(), static_cast<size_t>(size())), out,
                  static_cast<int64_t>(bytes / w.element));
}

/// Sends each rank its block and takes blocks of the same or other sizes, piece by piece:
/// take(at, ranks) is called for pieces at byte `at` of the blocks of `ranks`.
template <class Take>
void GlooTransport::exchange(Work& w, const Blocks& out, const Blocks& in, size_t piece,
                             const Take& take) {
  size_t most = 0;
  for (int r = 0; r < size(); ++r) {
    const auto i = static_cast<size_t>(r);
    if (r != rank()) most = std::max({most, out[i].bytes, in[i].bytes});
  }
  const auto part = [&](const Block& block, size_t at) {
    return at < block.bytes ? std::min(piece, block.bytes - at) : 0;
  };
  for (size_t at = 0; at < most + piece; at += piece) {
    for (int k = 1; k < size(); ++k) {
      const int r = (rank() + k) % size();
      const Block& block = out[static_cast<size_t>(r)];
      if (const size_t bytes = part(block, at); bytes != 0)
        w.courier.send(r, {block.data + at, bytes});
    }
    if (at == 0) continue;
    uint64_t ranks = 0;
    for (int r = 0; r < size(); ++r)
      if (r != rank() && part(in[static_cast<size_t>(r)], at - piece) != 0)
        ranks |= TcpGroup::bit(r);
    w.courier.await(ranks);
    take(at - piece, ranks);
    for (; ranks != 0; ranks &= ranks - 1) w.courier.take(std::countr_zero(ranks));
  }
}

/// All kinds that only move data.
void GlooTransport::move_blocks(Work& w) {
  const bool uneven = w.c.kind == Kind::all_to_all_v;
  Blocks out{}, in{};
  for (int r = 0; r < size(); ++r) {
    const auto i = static_cast<size_t>(r);
    out[i] = gives(w, r);
    in[i] = {place_of(w, r), gets(w, r)};
    if (r == rank()) copy_bytes(place_of(w, r), out[i].data, in[i].bytes);
  }
  if (uneven) take_ahead(w, out, in);
  const auto take = [&](size_t at, uint64_t ranks) {
    for (; ranks != 0; ranks &= ranks - 1) {
      const int r = std::countr_zero(ranks);
      copy_bytes(place_of(w, r) + at, w.courier.front(r).data, w.courier.front(r).bytes);
    }
  };
  // Blocks of any size have one size of pieces: nobody knows them all.
  const size_t block = static_cast<size_t>(w.c.count) * w.element;
  exchange(w, out, in, uneven ? lanes_.capacity() / 64 * 64 : piece_bytes(block), take);
}

/// Blocks of an all_to_all_v that came with the first messages, or went.
void GlooTransport::take_ahead(Work& w, Blocks& out, Blocks& in) {
  for (int r = 0; r < size(); ++r) {
    if (r == rank()) continue;
    Block& sent = out[static_cast<size_t>(r)];
    Block& got = in[static_cast<size_t>(r)];
    if (ahead(w, sent.bytes) != 0) sent.bytes = 0;
    if (ahead(w, got.bytes) != 0) {
      copy_bytes(place_of(w, r), w.courier.front(r).data + head_bytes(w), got.bytes);
      got.bytes = 0;
    }
    w.courier.take(r);
  }
}

void GlooTransport::reduce_scatter(Work& w) {
  const size_t bytes = static_cast<size_t>(w.c.count) * w.element;
  const size_t piece = piece_bytes(bytes);
  Blocks out{}, in{};
  for (int r = 0; r < size(); ++r) {
    out[static_cast<size_t>(r)] = gives(w, r);
    in[static_cast<size_t>(r)] = {nullptr, bytes};
  }
  exchange(w, out, in, piece, [&](size_t at, uint64_t) {
    Inputs ins{};
    for (int r = 0; r < size(); ++r)
      ins[static_cast<size_t>(r)] = r == rank() ? gives(w, r).data + at : w.courier.front(r).data;
    reduce_pieces(w, ins, w.out + at, std::min(piece, bytes - at));
  });
  // Alone, there was nothing to wait for.
  if (size() == 1) {
    Inputs ins{w.in};
    reduce_pieces(w, ins, w.out, bytes);
  }
}

/// all_reduce, and reduce: each rank reduces its part of a chunk and sends the result.
void GlooTransport::all_reduce(Work& w) {
  const size_t share = static_cast<size_t>(w.c.count) * w.element / static_cast<size_t>(size());
  const int64_t chunk = static_cast<int64_t>(piece_bytes(share) / w.element) * size();
  const int64_t chunks = (w.c.count + chunk - 1) / chunk;
  const auto part = [&](int64_t t, int r) {
    return part_of(std::min(chunk, w.c.count - t * chunk), w.element, r, size());
  };
  const auto bytes = [&](int64_t n) { return static_cast<size_t>(n) * w.element; };
  for (int64_t t = 0; t < chunks + 2; ++t) {
    for (int k = 1; t < chunks && k < size(); ++k) {
      const int r = (rank() + k) % size();
      const Part its = part(t, r);
      const std::byte* from = w.in + bytes(t * chunk + its.begin);
      if (its.size() != 0) w.courier.send(r, {from, bytes(its.size())});
    }
    if (t >= 1 && t <= chunks) {
      const Part mine = part(t - 1, rank());
      reduce_part(w, bytes((t - 1) * chunk + mine.begin), bytes(mine.size()));
    }
    if (t >= 2) {
      uint64_t ranks = 0;
      for (int r = 0; r < size(); ++r)
        if (r != rank() && part(t - 2, r).size() != 0) ranks |= TcpGroup::bit(r);
      if (w.c.kind == Kind::reduce && w.c.root != rank()) continue;
      w.courier.await(ranks);
      for (; ranks != 0; ranks &= ranks - 1) {
        const int r = std::countr_zero(ranks);
        copy_bytes(w.out + bytes((t - 2) * chunk + part(t - 2, r).begin), w.courier.front(r).data,
                   w.courier.front(r).bytes);
        w.courier.take(r);
      }
    }
  }
}

/// Reduces bytes [at, at + bytes), which all others have sent, and sends what they become.
void GlooTransport::reduce_part(Work& w, size_t at, size_t bytes) {
  if (bytes == 0) return;
  w.courier.await(group_.others());
  Inputs ins{};
  for (int r = 0; r < size(); ++r)
    ins[static_cast<size_t>(r)] = r == rank() ? w.in + at : w.courier.front(r).data;
  const bool to_root = w.c.kind == Kind::reduce && w.c.root != rank();
  reduce_pieces(w, ins, to_root ? w.courier.room(w.c.root, bytes) : w.out + at, bytes);
  if (to_root) w.courier.go(w.c.root, bytes);
  for (int k = 1; k < size(); ++k) {
    const int r = (rank() + k) % size();
    w.courier.take(r);
    if (w.c.kind == Kind::all_reduce) w.courier.send(r, {w.out + at, bytes});
  }
}

}  // namespace tutti::comm

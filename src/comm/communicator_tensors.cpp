// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "comm/collective.h"

namespace tutti::comm {
namespace {

/// Refuses what run could not know: strides, another dtype, other numbers of elements.
void check_tensor(const Collective& c, std::string_view which, const Tensor& t, int64_t wanted) {
  if (wanted == 0 && t.data == nullptr) return;
  require_argument(t.dtype == c.dtype, to_string(c.kind), " '", c.label, "': ", which, " is ",
                   describe(t.dtype, t.shape), ", ", to_string(c.dtype), " is wanted");
  require_argument(t.is_contiguous(), to_string(c.kind), " '", c.label, "': ", which, " ",
                   describe(t.dtype, t.shape), " has strides ", t.strides,
                   ", contiguous is wanted");
  require_argument(wanted == 0 || t.elements() == wanted, to_string(c.kind), " '", c.label,
                   "': ", which, " ", describe(t.dtype, t.shape), " has ", t.elements(),
                   " elements, ", wanted, " are wanted");
}

void run_tensors(Communicator& comm, const Collective& c, const Tensor& in, const Tensor& out) {
  check_tensor(c, "input", in, in_elements(c, comm.rank(), comm.size()));
  check_tensor(c, "output", out, out_elements(c, comm.rank(), comm.size()));
  comm.run(c, in.data, out.data);
}

}  // namespace

void Communicator::all_reduce(Reduce reduce, const Tensor& in, const Tensor& out,
                              std::string_view label) {
  run_tensors(*this, {Kind::all_reduce, in.dtype, reduce, 0, in.elements(), {}, {}, label}, in,
              out);
}

void Communicator::reduce(Reduce reduce, int root, const Tensor& in, const Tensor& out,
                          std::string_view label) {
  run_tensors(*this, {Kind::reduce, in.dtype, reduce, root, in.elements(), {}, {}, label}, in, out);
}

void Communicator::reduce_scatter(Reduce reduce, const Tensor& in, const Tensor& out,
                                  std::string_view label) {
  run_tensors(*this, {Kind::reduce_scatter, in.dtype, reduce, 0, out.elements(), {}, {}, label}, in,
              out);
}

void Communicator::all_gather(const Tensor& in, const Tensor& out, std::string_view label) {
  run_tensors(*this, {Kind::all_gather, in.dtype, {}, 0, in.elements(), {}, {}, label}, in, out);
}

void Communicator::gather(int root, const Tensor& in, const Tensor& out, std::string_view label) {
  run_tensors(*this, {Kind::gather, in.dtype, {}, root, in.elements(), {}, {}, label}, in, out);
}

void Communicator::scatter(int root, const Tensor& in, const Tensor& out, std::string_view label) {
  run_tensors(*this, {Kind::scatter, out.dtype, {}, root, out.elements(), {}, {}, label}, in, out);
}

void Communicator::broadcast(int root, const Tensor& tensor, std::string_view label) {
  run_tensors(*this, {Kind::broadcast, tensor.dtype, {}, root, tensor.elements(), {}, {}, label},
              tensor, tensor);
}

void Communicator::all_to_all(const Tensor& in, const Tensor& out, std::string_view label) {
  require_argument(in.elements() % size() == 0, "all_to_all '", label, "': input ",
                   describe(in.dtype, in.shape), " for ", size(), " ranks");
  const int64_t count = in.elements() / size();
  run_tensors(*this, {Kind::all_to_all, in.dtype, {}, 0, count, {}, {}, label}, in, out);
}

void Communicator::all_to_all_v(const Tensor& in, std::span<const int64_t> sends, const Tensor& out,
                                std::span<const int64_t> receives, std::string_view label) {
  run_tensors(*this, {Kind::all_to_all_v, in.dtype, {}, 0, 0, sends, receives, label}, in, out);
}

void Communicator::send(int to, const Tensor& tensor, std::string_view label) {
  run_tensors(*this, {Kind::send, tensor.dtype, {}, to, tensor.elements(), {}, {}, label}, tensor,
              {});
}

void Communicator::recv(int from, const Tensor& tensor, std::string_view label) {
  run_tensors(*this, {Kind::recv, tensor.dtype, {}, from, tensor.elements(), {}, {}, label}, {},
              tensor);
}

void Communicator::barrier(std::string_view label) {
  run({.kind = Kind::barrier, .label = label}, nullptr, nullptr);
}

}  // namespace tutti::comm

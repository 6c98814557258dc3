// SPDX-License-Identifier: Apache-2.0
#include "runtime/manifest.h"

#include <algorithm>

#include "comm/collective.h"
#include "plan/byte_stream.h"
#include "runtime/waits.h"

namespace tutti::runtime {
namespace {

int32_t list_index(std::vector<RankList>& lists, const RankList& list) {
  const auto at = static_cast<size_t>(std::find(lists.begin(), lists.end(), list) - lists.begin());
  if (at == lists.size()) lists.push_back(list);
  return static_cast<int32_t>(at);
}

Tensor layout_of(const Operand& operand) {
  return {nullptr, operand.dtype, operand.shape, operand.strides, nullptr};
}

std::vector<Tensor> layouts_of(const std::vector<Operand>& operands) {
  std::vector<Tensor> tensors;
  for (const Operand& operand : operands) tensors.push_back(layout_of(operand));
  return tensors;
}

template <class T>
void put_numbers(ByteWriter& out, const std::vector<T>& numbers) {
  out.put_count(numbers.size());
  for (const T number : numbers) out.put(number);
}

template <class T>
std::vector<T> get_numbers(ByteReader& in, std::string_view what) {
  std::vector<T> numbers(in.get_count(what, sizeof(T)));
  for (T& number : numbers) number = in.get<T>(what);
  return numbers;
}

void put_call(ByteWriter& out, const PlannedCall& call) {
  out.put(call.list);
  out.put(static_cast<uint8_t>(call.what.kind));
  out.put(static_cast<uint8_t>(call.what.dtype));
  out.put(static_cast<uint8_t>(call.what.reduce));
  out.put(call.what.root);
  out.put(call.what.count);
  out.put(call.row);
  put_numbers(out, call.sends);
  put_numbers(out, call.receives);
  put_numbers(out, call.waits);
  out.put_text(call.label);
}

PlannedCall get_call(ByteReader& in, size_t lists) {
  PlannedCall call;
  call.list = in.get<int32_t>("list");
  in.check(call.list >= 0 && static_cast<size_t>(call.list) < lists, "list is ", call.list, " of ",
           lists);
  call.what.kind = static_cast<comm::Kind>(in.get_enum("kind", comm::kKindCount));
  call.what.dtype = static_cast<DType>(in.get_enum("dtype", kDTypeCount));
  call.what.reduce = static_cast<comm::Reduce>(in.get_enum("reduction", comm::kReduceCount));
  call.what.root = in.get<int>("root");
  call.what.count = in.get<int64_t>("count");
  call.row = in.get<int64_t>("row");
  call.sends = get_numbers<int64_t>(in, "sends");
  call.receives = get_numbers<int64_t>(in, "receives");
  call.waits = get_numbers<int32_t>(in, "waits");
  call.label = in.get_text("label");
  return call;
}

}  // namespace

comm::Collective PlannedCall::collective() const {
  comm::Collective c = what;
  c.sends = sends;
  c.receives = receives;
  c.label = label;
  return c;
}

Manifest manifest_of(const Program& program, const RankGroups& groups) {
  Manifest manifest;
  manifest.groups = groups;
  for (const Plan& plan : program.plans) {
    std::vector<PlannedCall>& calls = manifest.plans.emplace_back();
    const std::vector<std::vector<int32_t>> waits = find_waits(plan.run);
    std::vector<int32_t> waited;
    for (size_t i = 0; i < plan.run.size(); ++i) {
      const Step& step = plan.run[i];
      waited.insert(waited.end(), waits[i].begin(), waits[i].end());
      if (const auto* rank = step.op.as<RankInGroup>()) list_index(manifest.lists, *rank);
      auto call = group_call(step.op, layouts_of(step.in), layouts_of(step.out));
      if (!call) continue;
      PlannedCall& planned = calls.emplace_back();
      planned.list = list_index(manifest.lists, call->where);
      planned.what = call->what;
      planned.what.sends = planned.what.receives = {};
      planned.sends = std::move(call->sends);
      planned.receives = std::move(call->receives);
      planned.waits = std::move(waited);
      planned.row = call->row;
      planned.label = step.scope;
      waited.clear();
    }
  }
  return manifest;
}

std::string encode(const Manifest& manifest) {
  ByteWriter out;
  out.put_count(manifest.groups.size());
  for (const auto& [name, ranks] : manifest.groups) {
    out.put_text(name);
    put_numbers(out, ranks);
  }
  out.put_count(manifest.lists.size());
  for (const RankList& list : manifest.lists) {
    out.put_text(list.group);
    put_numbers(out, list.ranks);
    out.put(list.size);
  }
  out.put_count(manifest.plans.size());
  for (const auto& calls : manifest.plans) {
    out.put_count(calls.size());
    for (const PlannedCall& call : calls) put_call(out, call);
  }
  return out.bytes();
}

Manifest decode_manifest(std::span<const std::byte> bytes, const std::string& where) {
  ByteReader in(bytes, where);
  Manifest manifest;
  for (size_t i = in.get_count("groups", 8); i > 0; --i) {
    std::string name = in.get_text("group");
    manifest.groups[std::move(name)] = get_numbers<int>(in, "rank");
  }
  manifest.lists.resize(in.get_count("lists", 16));
  for (RankList& list : manifest.lists) {
    list.group = in.get_text("group");
    list.ranks = get_numbers<int64_t>(in, "rank");
    list.size = in.get<int64_t>("size");
  }
  manifest.plans.resize(in.get_count("plans", 4));
  for (auto& calls : manifest.plans) {
    const size_t count = in.get_count("calls", 43);
    for (size_t i = 0; i < count; ++i) calls.push_back(get_call(in, manifest.lists.size()));
  }
  in.finish();
  return manifest;
}

}  // namespace tutti::runtime

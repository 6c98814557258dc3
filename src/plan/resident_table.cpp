// SPDX-License-Identifier: Apache-2.0
#include "plan/resident_table.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>

#include "core/mapped_file.h"
#include "ops/fused_matmul.h"
#include "plan/checksum.h"
#include "plan/reach.h"

namespace tutti {
namespace {

uint64_t round_up(uint64_t bytes) {
  return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
}

// True when `run` takes inputs of various shapes, so that plans may be made later.
bool may_plan_more(const Graph& graph) {
  for (const Function& function : graph.functions)
    for (ValueId id : function.inputs)
      for (const Dim& dim : function.type(id).shape)
        if (function.name == "run" && !dim.is_constant()) return true;
  return false;
}

// Who reads a resident. What `init` packs serves plans of all shapes, but other things that it
// computes may be needed anew for other shapes.
struct Uses {
  std::vector<bool> plans, init, other_shapes;
  std::vector<int> rank;  // the only one whose plans read it, or below 0

  explicit Uses(const Program& program)
      : plans(program.graph.residents.size()),
        init(plans.size()),
        other_shapes(plans.size()),
        rank(plans.size(), -1) {
    for (const Plan& plan : program.plans)
      for (const auto* steps : {&plan.prepare, &plan.run})
        for (const Step& step : *steps)
          for (const Operand& operand : step.in)
            if (operand.place == Place::resident)
              add_reader(static_cast<size_t>(operand.index), plan.rank);
    const bool more = may_plan_more(program.graph);
    for (const Function& function : program.graph.functions)
      if (function.name == "init") add_init(function, more);
  }

 private:
  void add_reader(size_t resident, int reader) {
    rank[resident] = plans[resident] && rank[resident] != reader ? -1 : reader;
    plans[resident] = true;
  }

  void add_init(const Function& function, bool more) {
    std::vector<bool> needed(function.values.size());
    for (const Update& update : function.updates) {
      const Node* made_by = function.producer(update.value);
      const bool packed = made_by != nullptr && made_by->op.as<PackMatrix>() != nullptr;
      needed[static_cast<size_t>(update.value)] = more && !packed;
    }
    for (size_t n = function.nodes.size(); n-- > 0;) {
      const Node& node = function.nodes[n];
      const bool any = std::any_of(node.outputs.begin(), node.outputs.end(),
                                   [&](ValueId id) { return needed[static_cast<size_t>(id)]; });
      for (ValueId id : node.inputs)
        needed[static_cast<size_t>(id)] = needed[static_cast<size_t>(id)] || any;
    }
    for (size_t i = 0; i < needed.size(); ++i) {
      const ResidentId resident = function.values[i].resident;
      if (resident == kNone) continue;
      init[static_cast<size_t>(resident)] = true;
      other_shapes[static_cast<size_t>(resident)] = needed[i];
    }
  }
};

class TableMaker {
 public:
  TableMaker(const Program& program, const std::string& path, bool strip)
      : program_(program), path_(path), strip_(strip), uses_(program) {
    for (const Resident& r : program.graph.residents)
      derived_ = derived_ && (r.kind != Resident::Kind::derived || r.data.data != nullptr);
  }

  // What all ranks read lies first, then what each one reads alone: the system brings pages into
  // memory with their neighbours.
  ResidentTable make() {
    std::vector<size_t> order(program_.graph.residents.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return uses_.rank[a] < uses_.rank[b]; });
    table_.residents.resize(order.size());
    for (const size_t i : order)
      if (wanted(i)) table_.residents[i] = add(program_.graph.residents[i]);
    return std::move(table_);
  }

 private:
  bool wanted(size_t i) const {
    const Resident& resident = program_.graph.residents[i];
    if (resident.data.data == nullptr) return false;
    if (resident.kind == Resident::Kind::carried) return true;
    if (resident.kind == Resident::Kind::derived) return !strip_;
    const bool only_init = uses_.init[i] && !uses_.plans[i] && !uses_.other_shapes[i];
    return strip_ || !only_init || !derived_ || program_.plans.empty();
  }

  ResidentBytes add(const Resident& resident) {
    const Tensor& data = resident.data;
    if (data.elements() == 0) return {ResidentBytes::State::empty, 0, 0, {}};
    const auto range = reach(data.dtype, data.shape, data.strides);
    require_argument(range.has_value(), "resident ", resident.name, " is ", resident.type,
                     " with strides ", data.strides, "; that fits no memory");
    const std::byte* begin = data.as<const std::byte>() + range->begin;
    const auto bytes = static_cast<size_t>(range->end - range->begin);
    const auto [at, added] = known_.try_emplace({begin, bytes}, table_.blocks.size());
    if (added) add_block({begin, bytes}, resident.kind == Resident::Kind::bound);
    return {ResidentBytes::State::block, static_cast<uint32_t>(at->second),
            static_cast<uint64_t>(-range->begin), data.strides};
  }

  void add_block(std::span<const std::byte> source, bool may_refer) {
    WeightBlock block;
    block.source = source;
    block.bytes = source.size();
    const auto file = strip_ && may_refer ? MappedFile::containing(source.data()) : nullptr;
    if (file && !is_destination(file->path())) {
      block.file = file_index(*file) + 1;
      block.offset = static_cast<uint64_t>(source.data() - file->bytes().data());
    } else {
      block.offset = round_up(stored_);
      stored_ = block.offset + block.bytes;
    }
    table_.blocks.push_back(std::move(block));
  }

  // An engine does not refer to the file that it replaces.
  bool is_destination(const std::string& file) const {
    std::error_code ignored;
    return std::filesystem::equivalent(file, path_, ignored);
  }

  uint32_t file_index(const MappedFile& file) {
    const std::string path = std::filesystem::absolute(file.path()).lexically_normal().string();
    for (size_t i = 0; i < table_.files.size(); ++i)
      if (table_.files[i].path == path) return static_cast<uint32_t>(i);
    table_.files.push_back({path, file.bytes().size()});
    return static_cast<uint32_t>(table_.files.size() - 1);
  }

  const Program& program_;
  const std::string& path_;
  bool strip_;
  Uses uses_;
  bool derived_ = true;  // all that `init` makes is there
  uint64_t stored_ = 0;
  std::map<std::pair<const std::byte*, size_t>, size_t> known_;
  ResidentTable table_;
};

}  // namespace

uint64_t WeightBlock::summed_bytes() const { return file == 0 ? round_up(bytes) : bytes; }

uint64_t ResidentTable::stored_bytes() const {
  uint64_t end = 0;
  for (const WeightBlock& block : blocks)
    if (block.file == 0) end = block.offset + block.summed_bytes();
  return end;
}

ResidentTable make_resident_table(const Program& program, const std::string& path, bool strip) {
  return TableMaker(program, path, strip).make();
}

void add_checksums(ResidentTable& table) {
  for (WeightBlock& block : table.blocks) {
    for (uint64_t at = 0; at < block.bytes; at += kSliceBytes) {
      const auto slice = block.source.subspan(at, std::min(kSliceBytes, block.bytes - at));
      const uint64_t summed = std::min(kSliceBytes, block.summed_bytes() - at);
      if (summed == slice.size()) {
        block.sums.push_back(checksum(slice));
      } else {
        std::vector<std::byte> padded(slice.begin(), slice.end());
        padded.resize(summed);
        block.sums.push_back(checksum(padded));
      }
    }
  }
}

std::string encode_residents(const ResidentTable& table) {
  ByteWriter out;
  out.put_count(table.files.size());
  for (const WeightFile& file : table.files) {
    out.put_text(file.path);
    out.put(file.bytes);
  }
  out.put_count(table.blocks.size());
  for (const WeightBlock& block : table.blocks) {
    out.put(block.file);
    out.put(block.offset);
    out.put(block.bytes);
    for (uint64_t sum : block.sums) out.put(sum);
  }
  out.put_count(table.residents.size());
  for (const ResidentBytes& resident : table.residents) {
    out.put(static_cast<uint8_t>(resident.state));
    if (resident.state != ResidentBytes::State::block) continue;
    out.put(resident.block);
    out.put(resident.first);
    out.put_dims(resident.strides);
  }
  return out.bytes();
}

namespace {

WeightBlock get_block(ByteReader& in, const ResidentTable& table, uint64_t& stored) {
  WeightBlock block;
  block.file = in.get<uint32_t>("file");
  in.check(block.file <= table.files.size(), "file is ", block.file, " of ", table.files.size());
  block.offset = in.get<uint64_t>("offset");
  block.bytes = in.get<uint64_t>("bytes");
  const uint64_t slices = block.bytes / kSliceBytes + (block.bytes % kSliceBytes != 0);
  in.check(block.bytes > 0 && slices <= in.left() / 8, "a block of ", block.bytes, " bytes has ",
           slices, " checksums; ", in.left(), " bytes are left");
  if (block.file == 0) {
    in.check(block.offset == stored, "a block starts at ", block.offset, "; ", stored,
             " is wanted");
    stored += block.summed_bytes();
  } else {
    const uint64_t size = table.files[block.file - 1].bytes;
    in.check(block.offset <= size && block.bytes <= size - block.offset, "a block of ", block.bytes,
             " bytes at ", block.offset, " leaves a file of ", size);
  }
  block.sums.resize(slices);
  for (uint64_t& sum : block.sums) sum = in.get<uint64_t>("checksum");
  return block;
}

bool is_constant(const Shape& shape) {
  return std::all_of(shape.begin(), shape.end(), [](const Dim& d) { return d.is_constant(); });
}

ResidentBytes get_resident(ByteReader& in, const ResidentTable& table, const Resident& resident) {
  ResidentBytes bytes;
  bytes.state = static_cast<ResidentBytes::State>(in.get_enum("state", 3));
  if (bytes.state == ResidentBytes::State::none) return bytes;
  in.check(is_constant(resident.type.shape), "resident ", resident.name, " is ", resident.type,
           " and has bytes; a shape of numbers is wanted");
  const Dims shape = constant_dims(resident.type.shape);
  const bool empty = elements(shape) == 0;
  in.check(dense_bytes(resident.type.dtype, shape) &&
               empty == (bytes.state == ResidentBytes::State::empty),
           "resident ", resident.name, " is ", resident.type, " with content of state ",
           static_cast<int>(bytes.state));
  if (empty) return bytes;
  bytes.block = in.get<uint32_t>("block");
  in.check(bytes.block < table.blocks.size(), "block is ", bytes.block, " of ",
           table.blocks.size());
  bytes.first = in.get<uint64_t>("first");
  bytes.strides = in.get_dims("strides");
  const WeightBlock& block = table.blocks[bytes.block];
  const auto range = reach(resident.type.dtype, shape, bytes.strides);
  const auto first = static_cast<int64_t>(std::min<uint64_t>(bytes.first, block.bytes));
  in.check(range && bytes.first <= block.bytes && -range->begin <= first &&
               static_cast<uint64_t>(range->end) <= block.bytes - bytes.first,
           "resident ", resident.name, ", ", resident.type, " with strides ", bytes.strides,
           " from byte ", bytes.first, ", leaves its ", block.bytes, " bytes");
  in.check((block.offset + bytes.first) % size_of(resident.type.dtype) == 0, "resident ",
           resident.name, " starts at byte ", block.offset + bytes.first,
           "; a multiple of the element is wanted");
  return bytes;
}

}  // namespace

ResidentTable decode_residents(ByteReader& in, const Graph& graph, uint64_t stored_bytes) {
  ResidentTable table;
  table.files.resize(in.get_count("files", 12));
  for (WeightFile& file : table.files) {
    file.path = in.get_text("path");
    file.bytes = in.get<uint64_t>("bytes");
  }
  uint64_t stored = 0;
  const size_t blocks = in.get_count("blocks", 28);
  for (size_t i = 0; i < blocks; ++i) table.blocks.push_back(get_block(in, table, stored));
  in.check(stored == stored_bytes, "blocks take ", stored, " bytes; the weights have ",
           stored_bytes);
  const size_t count = in.get_count("residents", 1);
  in.check(count == graph.residents.size(), count, " residents; the graph has ",
           graph.residents.size());
  for (const Resident& resident : graph.residents)
    table.residents.push_back(get_resident(in, table, resident));
  in.finish();
  return table;
}

}  // namespace tutti

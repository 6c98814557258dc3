// SPDX-License-Identifier: Apache-2.0
#include "plan/engine_file.h"

#include <algorithm>
#include <filesystem>

#include "core/log.h"
#include "core/output_file.h"
#include "ir/text.h"
#include "ops/all.h"
#include "ops/collectives.h"
#include "ops/implementation.h"
#include "plan/checksum.h"
#include "plan/engine_header.h"
#include "plan/plan_check.h"
#include "plan/plan_codec.h"
#include "plan/resident_table.h"

namespace tutti {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

void write_blocks(OutputFile& out, const ResidentTable& table) {
  for (const WeightBlock& block : table.blocks) {
    if (block.file != 0) continue;
    out.write(block.source);
    out.write_zeros(block.summed_bytes() - block.bytes);
  }
}

class EngineReader {
 public:
  EngineReader(std::shared_ptr<const MappedFile> file, const ReadOptions& options)
      : file_(std::move(file)), options_(options), path_(file_->path()) {}

  EngineFile read() {
    header_ = decode_header(file_->bytes(), path_, options_.ignore_checksums);
    EngineFile engine;
    engine.version = header_.version;
    engine.isa = header_.isa;
    engine.file_bytes = header_.file_bytes;
    engine.weight_bytes = header_[Section::weights].bytes;
    Program& program = engine.program;
    in_section(Section::graph, [&](std::span<const std::byte> bytes) {
      program.graph =
          parse_graph({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, make_op);
    });
    in_section(Section::residents, [&](std::span<const std::byte> bytes) {
      ByteReader in(bytes, where(Section::residents));
      table_ = decode_residents(in, program.graph, engine.weight_bytes);
    });
    open_weight_files(engine);
    const std::vector<bool> read = read_by_init(program.graph);
    for (size_t i = 0; i < table_.residents.size(); ++i)
      bind(program.graph.residents[i], table_.residents[i], read[i]);
    in_section(Section::plans, [&](std::span<const std::byte> bytes) {
      ByteReader in(bytes, where(Section::plans));
      decode_plans(in, program);
      check_plans(program);
      choose_missing(program);
    });
    return engine;
  }

 private:
  std::string where(Section section) const { return join(path_, ": section ", section); }

  std::span<const std::byte> section(Section s) const {
    return file_->bytes().subspan(header_[s].offset, header_[s].bytes);
  }

  // What is wrong inside a section is damage of the file, whoever finds it.
  template <class F>
  void in_section(Section s, F read) const {
    const auto bytes = section(s);
    require(options_.ignore_checksums || checksum(bytes) == header_[s].sum, Errc::corrupt, where(s),
            ", bytes ", header_[s].offset, " to ", header_[s].offset + bytes.size(),
            ": does not have its checksum");
    try {
      read(bytes);
    } catch (const Error& error) {
      if (error.code() == Errc::corrupt && std::string_view(error.what()).starts_with(path_)) throw;
      const bool unknown = error.code() == Errc::not_found || error.code() == Errc::unsupported;
      throw Error(unknown ? Errc::unsupported : Errc::corrupt, join(where(s), ": ", error.what()));
    }
  }

  void open_weight_files(EngineFile& engine) {
    for (const WeightFile& file : table_.files) {
      files_.push_back(MappedFile::open(find(file)));
      const auto& found = *files_.back();
      require(found.bytes().size() == file.bytes, Errc::corrupt, found.path(), ": has ",
              found.bytes().size(), " bytes; ", file.bytes, " are wanted");
      engine.weight_files.push_back(found.path());
    }
  }

  // Where a file of that name and length is.
  std::string find(const WeightFile& file) const {
    namespace fs = std::filesystem;
    const fs::path name = fs::path(file.path).filename(), given = options_.weights;
    std::vector<fs::path> places;
    if (given.empty())
      places = {file.path, fs::path(path_).parent_path() / name};
    else
      places = {given, given / name, given.parent_path() / name};
    std::error_code failed;
    std::string looked_at;
    for (const fs::path& place : places) {
      const bool there = fs::is_regular_file(place, failed);
      const auto bytes = there ? fs::file_size(place, failed) : 0;
      if (there && !failed && bytes == file.bytes) return place.string();
      looked_at += join(looked_at.empty() ? "" : ", ", place.string(), " ",
                        there ? join("(", bytes, " bytes)") : "(no file)");
    }
    fail(Errc::not_found, path_, ": its weights were in ", file.path, ", ", file.bytes,
         " bytes; found: ", looked_at);
  }

  const MappedFile& file_of(const WeightBlock& block) const {
    return block.file == 0 ? *file_ : *files_[block.file - 1];
  }

  uint64_t start_of(const WeightBlock& block) const {
    return block.offset + (block.file == 0 ? header_[Section::weights].offset : 0);
  }

  // Residents that `init` is about to read, because some of what it computes is not stored.
  std::vector<bool> read_by_init(const Graph& graph) const {
    std::vector<bool> read(graph.residents.size());
    bool missing = false;
    for (size_t i = 0; i < read.size(); ++i)
      missing = missing || (graph.residents[i].kind == Resident::Kind::derived &&
                            table_.residents[i].state == ResidentBytes::State::none);
    if (!missing) return read;
    for (const Function& function : graph.functions)
      for (const Value& value : function.values)
        if (function.name == "init" && value.resident != kNone)
          read[static_cast<size_t>(value.resident)] = true;
    return read;
  }

  void bind(Resident& resident, const ResidentBytes& bytes, bool read_by_init) const {
    if (bytes.state == ResidentBytes::State::none) return;
    Tensor& data = resident.data;
    data.dtype = resident.type.dtype;
    data.shape = constant_dims(resident.type.shape);
    if (bytes.state == ResidentBytes::State::empty) {
      data = Tensor::zeros(data.dtype, data.shape);
      return;
    }
    const WeightBlock& block = table_.blocks[bytes.block];
    check_sums(resident, block, read_by_init);
    const auto& file = block.file == 0 ? file_ : files_[block.file - 1];
    const auto view = file->bytes().subspan(start_of(block), block.bytes);
    require(data.dtype != DType::boolean ||
                std::all_of(view.begin(), view.end(), [](auto b) { return b <= std::byte{1}; }),
            Errc::corrupt, file->path(), ": resident ", resident.name,
            " has booleans that are neither 0 nor 1");
    data.strides = bytes.strides;
    // Tensors have no read-only form; check_plans sees to it that no step writes here.
    data.data = const_cast<std::byte*>(view.data()) + bytes.first;
    data.owner = std::const_pointer_cast<MappedFile>(file);
  }

  // What is copied is compared: state when a session is made, weights packed again for another
  // instruction set, and those that `init` reads when its results are missing. What is only mapped
  // is compared when the options ask for it.
  void check_sums(const Resident& resident, const WeightBlock& block, bool read_by_init) const {
    const bool packed_again = resident.kind == Resident::Kind::derived && !options_.isa.empty() &&
                              options_.isa != header_.isa;
    const bool copied = resident.kind == Resident::Kind::carried || packed_again || read_by_init;
    if (options_.ignore_checksums || !(options_.check || copied)) return;
    const MappedFile& file = file_of(block);
    const auto bytes = file.bytes().subspan(start_of(block), block.summed_bytes());
    for (size_t i = 0; i < block.sums.size(); ++i) {
      const uint64_t at = i * kSliceBytes;
      const auto slice = bytes.subspan(at, std::min<uint64_t>(kSliceBytes, bytes.size() - at));
      require(checksum(slice) == block.sums[i], Errc::corrupt, file.path(), ": resident ",
              resident.name, " is damaged: bytes ", start_of(block) + at, " to ",
              start_of(block) + at + slice.size(), " do not have their checksum");
    }
  }

  // Implementations that this build lacks are replaced by the best it has.
  void choose_missing(Program& program) const {
    std::vector<std::string> missing;
    for (Plan& plan : program.plans) {
      for (auto* steps : {&plan.prepare, &plan.run}) {
        for (Step& step : *steps) {
          if (is_known(step)) continue;
          require(is_name(step.implementation), Errc::corrupt,
                  "a step's implementation has no name");
          missing.push_back(step.implementation);
          std::vector<Tensor> in, out;
          for (const Operand& o : step.in) in.push_back({nullptr, o.dtype, o.shape, o.strides, {}});
          for (const Operand& o : step.out)
            out.push_back({nullptr, o.dtype, o.shape, o.strides, {}});
          step.implementation = prepare_kernel({step.op, in, out}).second;
        }
      }
    }
    if (!missing.empty())
      log(LogLevel::warning, path_, ": ", missing.size(),
          " steps use implementations that this build lacks (", missing[0],
          "); others take their place");
  }

  static bool is_name(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
  }

  static bool is_known(const Step& step) {
    if (step.implementation == "plain") return true;
    if (runs_on_ranks(step.op)) return step.implementation == kRanksImplementation;
    const auto rows = implementations();
    return std::any_of(rows.begin(), rows.end(), [&](const Implementation& row) {
      return row.op == step.op.name() && row.name == step.implementation;
    });
  }

  std::shared_ptr<const MappedFile> file_;
  const ReadOptions& options_;
  const std::string& path_;
  EngineHeader header_;
  ResidentTable table_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
};

}  // namespace

void write_engine(const std::string& path, const Program& program, const WriteOptions& options) {
  check_plans(program);
  ResidentTable table = make_resident_table(program, path, options.strip);
  add_checksums(table);
  const std::string parts[] = {print_graph(program.graph), encode_plans(program),
                               encode_residents(table)};
  EngineHeader header;
  header.version = kEngineVersion;
  header.isa = options.isa;
  for (size_t i = 0; i < std::size(parts); ++i) {
    header.sections[i].bytes = parts[i].size();
    header.sections[i].sum = checksum(bytes_of(parts[i]));
  }
  header[Section::weights].bytes = table.stored_bytes();
  lay_out(header);
  OutputFile out(path);
  out.write(encode_header(header));
  for (size_t i = 0; i < std::size(parts); ++i) {
    out.write_zeros(header.sections[i].offset - out.position());
    out.write(parts[i]);
  }
  out.write_zeros(header[Section::weights].offset - out.position());
  write_blocks(out, table);
  out.commit();
}

EngineFile read_engine(std::shared_ptr<const MappedFile> file, const ReadOptions& options) {
  return EngineReader(std::move(file), options).read();
}

EngineFile read_engine(const std::string& path, const ReadOptions& options) {
  return read_engine(MappedFile::open(path), options);
}

EngineFile check_engine(const std::string& path, const std::string& weights) {
  ReadOptions options;
  options.weights = weights;
  options.check = true;
  return read_engine(path, options);
}

}  // namespace tutti

// Checkpoints: layouts, files, loading into models, and files that are damaged or made to harm.
#include "engine/checkpoint.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>

#include "engine/random.h"
#include "models/resnet.h"
#include "models/zoo.h"
#include "temporary_folder.h"

using namespace etude;
using etude::testing::TemporaryFolder;

namespace {

using Named = std::vector<std::pair<std::string, Tensor>>;

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A file with this header and this many bytes of data.
std::string with_header(const std::string& header, std::size_t data_size = 0) {
  const std::uint64_t size = header.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + header + std::string(data_size, '\1');
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

template <class T>
std::vector<T> counting(Index n) {
  std::vector<T> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i);
  return values;
}

// Any bits at all: not-a-number, infinities and negative zero among them.
Tensor random_bits(Shape shape, DType dtype, Generator& generator) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(shape.size()) * size_of(dtype));
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(generator.bits());
  const Tensor result(shape, dtype);
  void* target = dtype == DType::f32   ? static_cast<void*>(result.data<float>())
                 : dtype == DType::f64 ? static_cast<void*>(result.data<double>())
                 : dtype == DType::i64 ? static_cast<void*>(result.data<std::int64_t>())
                                       : static_cast<void*>(result.data<std::uint8_t>());
  std::memcpy(target, bytes.data(), bytes.size());
  return result;
}

std::string bits_of(const Tensor& tensor) {
  std::string result(tensor.bytes(), '\0');
  const void* source = tensor.dtype() == DType::f32   ? static_cast<void*>(tensor.data<float>())
                       : tensor.dtype() == DType::f64 ? static_cast<void*>(tensor.data<double>())
                       : tensor.dtype() == DType::i64
                           ? static_cast<void*>(tensor.data<std::int64_t>())
                           : static_cast<void*>(tensor.data<std::uint8_t>());
  std::memcpy(result.data(), source, result.size());
  return result;
}

std::map<std::string, std::string> bits_of(const std::vector<StateEntry>& state) {
  std::map<std::string, std::string> result;
  for (const StateEntry& entry : state) result[entry.name] = bits_of(entry.tensor);
  return result;
}

std::unique_ptr<Module> small_resnet(Index channels, Index outputs, std::uint64_t seed) {
  models::ResNetOptions o;
  o.layers = {1, 1, 1, 1};
  o.channels = channels, o.outputs = outputs, o.width = 4, o.seed = seed;
  return std::make_unique<models::ResNet>(o);
}

const StateEntry& find(const std::vector<StateEntry>& state, const std::string& name) {
  for (const StateEntry& entry : state)
    if (entry.name == name) return entry;
  fail("no entry {}", name);
}

}  // namespace

TEST_SUITE("checkpoint") {
  // ---- layouts ----------------------------------------------------------------------------------

  TEST_CASE("a filter [k][r][s][c] becomes [k][c][r][s]") {
    const Index k = 2, r = 3, s = 2, c = 5;
    const Tensor ours = Tensor::from(counting<float>(k * r * s * c), {k, r, s, c});
    const Tensor theirs = to_torch_layout(ours, {Layout::filter});
    CHECK(theirs.shape() == Shape{k, c, r, s});
    const auto a = ours.to_vector<float>(), b = theirs.to_vector<float>();
    for (Index i = 0; i < k; ++i)
      for (Index y = 0; y < r; ++y)
        for (Index x = 0; x < s; ++x)
          for (Index j = 0; j < c; ++j)
            CHECK(b[static_cast<std::size_t>(((i * c + j) * r + y) * s + x)] ==
                  a[static_cast<std::size_t>(((i * r + y) * s + x) * c + j)]);
  }

  TEST_CASE("columns [k][h][w][c] become [k][c][h][w]") {
    const Index k = 2, h = 3, w = 2, c = 5;
    const Tensor ours = Tensor::from(counting<float>(k * h * w * c), {k, h * w * c});
    const Tensor theirs = to_torch_layout(ours, {Layout::columns, h, w, c});
    CHECK(theirs.shape() == ours.shape());
    const auto a = ours.to_vector<float>(), b = theirs.to_vector<float>();
    for (Index i = 0; i < k; ++i)
      for (Index y = 0; y < h; ++y)
        for (Index x = 0; x < w; ++x)
          for (Index j = 0; j < c; ++j)
            CHECK(b[static_cast<std::size_t>(((i * c + j) * h + y) * w + x)] ==
                  a[static_cast<std::size_t>(((i * h + y) * w + x) * c + j)]);
  }

  TEST_CASE("layouts: there and back is bitwise, for every dtype") {
    Generator generator(5);
    for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8}) {
      const Tensor filter = random_bits({3, 2, 4, 5}, dtype, generator);
      const Tensor columns = random_bits({3, 2 * 4 * 5}, dtype, generator);
      const Layout of_filter{Layout::filter}, of_columns{Layout::columns, 2, 4, 5};
      CHECK(bits_of(from_torch_layout(to_torch_layout(filter, of_filter), of_filter)) ==
            bits_of(filter));
      CHECK(bits_of(from_torch_layout(to_torch_layout(columns, of_columns), of_columns)) ==
            bits_of(columns));
      CHECK(bits_of(to_torch_layout(columns, of_columns)) != bits_of(columns));
    }
    CHECK_THROWS_AS(to_torch_layout(Tensor::zeros({3, 7}), {Layout::columns, 2, 4, 5}), Error);
    CHECK_THROWS_AS(from_torch_layout(Tensor::zeros({3, 7}), {Layout::filter}), Error);
  }

  // ---- files ------------------------------------------------------------------------------------

  TEST_CASE("the bytes of a small file") {
    const TemporaryFolder folder;
    write_safetensors(folder / "x",
                      {{"a", Tensor::from(std::vector<float>{1, -2}, {2})},
                       {"n", Tensor::from(std::vector<std::int64_t>{3}, {})}},
                      {{"k", "v"}});
    const std::string header = R"({"__metadata__":{"k":"v"},)"
                               R"("n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                               R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})";
    std::string expected = with_header(header + std::string((8 - header.size() % 8) % 8, ' '));
    expected.append("\3\0\0\0\0\0\0\0", 8).append("\0\0\x80\x3f\0\0\0\xc0", 8);
    CHECK(read_bytes(folder / "x") == expected);
  }

  TEST_CASE("files: there and back is bitwise") {
    const TemporaryFolder folder;
    Generator generator(6);
    const Named written = {
        {"bytes", random_bits({3, 1, 5}, DType::u8, generator)},
        {"float", random_bits({7, 3}, DType::f32, generator)},
        {"scalar", random_bits({}, DType::f32, generator)},
        {"double", random_bits({2, 2, 2, 2, 2, 2}, DType::f64, generator)},
        {"empty", Tensor::zeros({0, 4})},
        {"n\xc3\xa4me \"quoted\"\n", random_bits({4}, DType::i64, generator)},
    };
    const Metadata metadata = {{"format", "pt"}, {"", "empty key"}, {"\xe2\x82\xac", "\\"}};
    write_safetensors(folder / "x", written, metadata);
    const SafetensorsFile file = read_safetensors(folder / "x");
    CHECK(file.metadata == metadata);
    REQUIRE(file.tensors.size() == written.size());
    for (const auto& [name, tensor] : file.tensors) {
      const auto& shown_name = name;  // clang 14 cannot capture a structured binding
      INFO(shown_name);
      const auto original = std::find_if(written.begin(), written.end(),
                                         [&](const auto& w) { return w.first == shown_name; });
      REQUIRE(original != written.end());
      CHECK(tensor.dtype() == original->second.dtype());
      CHECK(tensor.shape() == original->second.shape());
      CHECK(bits_of(tensor) == bits_of(original->second));
    }
    // No tensors at all is a file too.
    write_safetensors(folder / "none", {});
    CHECK(read_safetensors(folder / "none").tensors.empty());
  }

  TEST_CASE("names that cannot be written are refused, and nothing is left behind") {
    const TemporaryFolder folder;
    const Tensor t = Tensor::zeros({1});
    const auto message = [&](const Named& tensors, const Metadata& metadata = {}) {
      return error_of([&] { write_safetensors(folder / "x", tensors, metadata); });
    };
    CHECK(contains(message({{"a", t}, {"a", t}}), "'a' is reserved or used twice"));
    CHECK(contains(message({{"__metadata__", t}}), "reserved"));
    CHECK(contains(message({{"a", Tensor{}}}), "'a' is undefined"));
    CHECK(contains(message({{"\xff", t}}), "UTF-8"));
    CHECK(contains(message({{"a", t}}, {{"k", "\xff"}}), "UTF-8"));
    CHECK(std::filesystem::is_empty(folder.path()));
    CHECK(contains(error_of([&] {
                     write_safetensors(folder / "no/x", {{"a", t}});
                   }),
                   "No such file or directory"));
  }

  TEST_CASE("a write that fails half-way leaves the old file whole") {
    const TemporaryFolder folder;
    write_safetensors(folder / "x", {{"a", Tensor::full({100}, 1)}});
    const std::string before = read_bytes(folder / "x");
    // A limit on the size of files stands in for a full disk.
    rlimit old_limit;
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small = {4096, old_limit.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const std::string message = error_of([&] {
      write_safetensors(folder / "x", {{"a", Tensor::full({10000}, 2)}});
    });
    ::setrlimit(RLIMIT_FSIZE, &old_limit);
    std::signal(SIGXFSZ, old_handler);
    CHECK(contains(message, "cannot write"));
    CHECK(contains(message, "File too large"));
    CHECK(read_bytes(folder / "x") == before);
    const auto entries = std::filesystem::directory_iterator(folder.path());
    CHECK(std::distance(begin(entries), end(entries)) == 1);
  }

  // ---- damaged and hostile files ----------------------------------------------------------------

  TEST_CASE("what is wrong with a file is said") {
    const TemporaryFolder folder;
    const auto message = [&](const std::string& bytes) {
      write_bytes(folder / "x", bytes);
      const std::string text = error_of([&] { read_safetensors(folder / "x"); });
      CHECK(contains(text, (folder / "x").string()));
      CHECK(!contains(text, "\n"));
      return text;
    };
    const auto tensor = [](const std::string& text) { return R"({"t":)" + text + "}"; };
    CHECK(contains(error_of([&] { read_safetensors(folder / "none"); }), "no such file"));
    CHECK(contains(error_of([&] { read_safetensors(folder.path()); }), "not a file"));
    CHECK(contains(message(""), "0 bytes are too few"));
    CHECK(contains(message("1234567"), "7 bytes are too few"));
    CHECK(contains(message("PK\3\4 a zip archive, as torch.save makes it"), "no safetensors file"));
    CHECK(contains(message(std::string(8, '\xff')), "no safetensors file"));
    CHECK(contains(message(with_header("{}").substr(0, 9)), "no safetensors file"));
    CHECK(contains(message(with_header("{")), "not JSON"));
    CHECK(contains(message(with_header("")), "not JSON"));
    CHECK(contains(message(with_header("{\"\xff\":1}")), "not JSON"));
    CHECK(contains(message(with_header("[]")), "not a JSON object"));
    CHECK(contains(message(with_header("3")), "not a JSON object"));
    CHECK(contains(message(with_header(std::string(100'000, '['))), "not JSON"));
    CHECK(contains(message(with_header(std::string(50'000, '[') + std::string(50'000, ']'))),
                   "not a JSON object"));
    CHECK(contains(message(with_header(tensor("1"))), "tensor 't': expected an object"));
    CHECK(contains(message(with_header(tensor(R"({"dtype":"F32","shape":[1]})"), 4)),
                   "expected an object"));

    const auto header = [&](const std::string& dtype, const std::string& shape,
                            const std::string& offsets) {
      return tensor(R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" +
                    offsets + "}");
    };
    const auto f32 = [&](const std::string& shape, const std::string& offsets) {
      return message(with_header(header(R"("F32")", shape, offsets), 4));
    };
    CHECK(contains(f32("[2]", "[0,4]"), "need 8 bytes, data_offsets span 4"));
    CHECK(contains(f32("[1]", "[4,0]"), "reversed"));
    CHECK(contains(f32("[1]", "[0,8]"), "outside the 4 bytes"));
    CHECK(contains(f32("[1]", "[1,5]"), "outside the 4 bytes"));
    CHECK(contains(f32("[1]", "[0]"), "not a pair"));
    CHECK(contains(f32("[1]", "[-4,0]"), "natural numbers"));
    CHECK(contains(f32("[1]", "[0,4.0]"), "natural numbers"));
    CHECK(contains(f32("[-1]", "[0,4]"), "natural numbers"));
    CHECK(contains(f32("1", "[0,4]"), "shape is not an array"));
    CHECK(contains(f32("[1,1,1,1,1,1,1]", "[0,4]"), "7 dimensions"));
    // 2^62 elements of 4 bytes are 0 modulo 2^64, and 2^33 x 2^33 overflow by themselves.
    CHECK(contains(f32("[4611686018427387904]", "[0,0]"), "too large"));
    CHECK(contains(f32("[8589934592,8589934592]", "[0,4]"), "too large"));
    CHECK(contains(f32("[18446744073709551615]", "[0,4]"), "too large"));
    CHECK(contains(f32("[1]", "[0,18446744073709551620]"), "natural numbers"));
    CHECK(contains(f32("[0]", "[0,0]"), "bytes 0 to 4 belong to no tensor"));
    CHECK(contains(message(with_header(header("\"BF16\"", "[2]", "[0,4]"), 4)),
                   "dtype BF16 is not supported"));
    CHECK(contains(message(with_header(header("7", "[1]", "[0,4]"), 4)), "dtype is not a string"));

    const std::string one = R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
    const std::string two = R"({"dtype":"U8","shape":[2],"data_offsets":[1,3]})";
    const std::string far = R"({"dtype":"U8","shape":[1],"data_offsets":[3,4]})";
    const auto both = [&](const std::string& a, const std::string& b, std::size_t size) {
      return message(with_header(R"({"a":)" + a + R"(,"b":)" + b + "}", size));
    };
    CHECK(contains(both(one, two, 3), "overlaps"));
    CHECK(contains(both(one, one, 2), "overlaps"));
    CHECK(contains(both(one, far, 4), "bytes 2 to 3 belong to no tensor"));
    CHECK(contains(message(with_header(tensor(one), 3)), "bytes 2 to 3 belong to no tensor"));
    CHECK(contains(message(with_header(R"({"t":)" + one + R"(,"t":)" + one + "}", 2)),
                   "'t' appears twice"));
    CHECK(contains(
        message(with_header(
            tensor(R"({"dtype":"U8","dtype":"F32","shape":[2],"data_offsets":[0,2]})"), 2)),
        "'dtype' appears twice"));
    CHECK(contains(message(with_header(R"({"__metadata__":[]})")), "is not an object"));
    CHECK(contains(message(with_header(R"({"__metadata__":{"a":1}})")), "'a' is not a string"));

    // The good file that these were made from.
    write_bytes(folder / "x", with_header(tensor(one), 2));
    CHECK(read_safetensors(folder / "x").tensors[0].second.to_vector<std::uint8_t>() ==
          std::vector<std::uint8_t>{1, 1});
  }

  TEST_CASE("a header length beyond the limit is refused before memory is taken") {
    const TemporaryFolder folder;
    const std::uint64_t size = 200'000'000;
    std::string bytes(sizeof size, '\0');
    std::memcpy(bytes.data(), &size, sizeof size);
    write_bytes(folder / "x", bytes);
    std::filesystem::resize_file(folder / "x", size + sizeof size);  // sparse: takes no room
    CHECK(contains(error_of([&] { read_safetensors(folder / "x"); }), "200000000 bytes"));
  }

  TEST_CASE("every truncation of a file is an error") {
    const TemporaryFolder folder;
    Generator generator(8);
    write_safetensors(folder / "good", {{"a", random_bits({5, 3}, DType::f32, generator)},
                                        {"b", random_bits({2}, DType::i64, generator)}});
    const std::string good = read_bytes(folder / "good");
    for (std::size_t size = 0; size < good.size(); ++size) {
      write_bytes(folder / "x", good.substr(0, size));
      INFO(size);
      CHECK_THROWS_AS(read_safetensors(folder / "x"), Error);
    }
  }

  TEST_CASE("changed bytes give an Error or a file that is consistent, never anything else") {
    const TemporaryFolder folder;
    Generator data(9);
    write_safetensors(folder / "good",
                      {{"conv.weight", random_bits({2, 1, 3, 1}, DType::f32, data)},
                       {"n", random_bits({}, DType::i64, data)},
                       {"mask", random_bits({5}, DType::u8, data)}},
                      {{"model", "resnet18"}});
    const std::string good = read_bytes(folder / "good");
    const std::string alphabet = R"({}[]",:0123456789-+.eEFIU\ntr)";
    int accepted = 0, refused = 0;
    for (std::uint64_t seed = 0; seed < 4000; ++seed) {
      Generator generator(seed);
      std::string bytes = good;
      const auto pick = [&](std::size_t n) {
        return static_cast<std::size_t>(generator.below(static_cast<Index>(n)));
      };
      for (std::size_t changes = 1 + pick(3); changes > 0; --changes) {
        const std::size_t at = pick(bytes.size());
        switch (pick(6)) {
          case 0:  // a bit
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << pick(8)));
            break;
          case 1:  // a character that means something to JSON
            bytes[at] = alphabet[pick(alphabet.size())];
            break;
          case 2:
            bytes.insert(at, 1, alphabet[pick(alphabet.size())]);
            break;
          case 3:
            bytes.erase(at, 1 + pick(4));
            break;
          case 4:  // a piece of the file somewhere else
            bytes.insert(at, bytes.substr(pick(bytes.size()), 1 + pick(40)));
            break;
          case 5:  // the length of the header
            bytes[pick(8)] = static_cast<char>(generator.bits());
            break;
        }
        if (bytes.empty()) break;
      }
      // Half of the time the length is made to fit again, so that the changes reach the parser.
      if (bytes.size() > 8 && seed % 2) {
        const std::uint64_t size = std::min<std::uint64_t>(bytes.size() - 8, bytes.rfind('}') - 7);
        std::memcpy(bytes.data(), &size, sizeof size);
      }
      write_bytes(folder / "x", bytes);
      INFO("seed " << seed);
      try {
        std::size_t total = 0;
        for (const auto& [name, tensor] : read_safetensors(folder / "x").tensors)
          total += tensor.bytes();
        CHECK(total <= bytes.size());
        ++accepted;
      } catch (const Error&) {
        ++refused;
      }
    }
    // Changes to the data alone are legal, so both happen.
    CHECK(accepted > 100);
    CHECK(refused > 1000);
  }

  // ---- models -----------------------------------------------------------------------------------

  TEST_CASE("a model's state: there and back is bitwise, buffers included") {
    const TemporaryFolder folder;
    const auto written = small_resnet(2, 3, 1);
    Generator generator(10);
    for (const StateEntry& entry : written->state())
      entry.tensor.copy_from(random_bits(entry.tensor.shape(), entry.tensor.dtype(), generator));
    save_state(folder / "x", written->state(), {{"model", "small"}});
    const auto read = small_resnet(2, 3, 2);
    CHECK(load_state(folder / "x", read->state()) == Metadata{{"model", "small"}});
    CHECK(bits_of(read->state()) == bits_of(written->state()));
    // And the file that the second writes is the file of the first.
    save_state(folder / "y", read->state(), {{"model", "small"}});
    CHECK(read_bytes(folder / "x") == read_bytes(folder / "y"));
  }

  TEST_CASE("the file holds PyTorch's shapes") {
    const TemporaryFolder folder;
    save_state(folder / "x", small_resnet(2, 3, 1)->state());
    for (const auto& [name, tensor] : read_safetensors(folder / "x").tensors) {
      if (name == "conv1.weight") CHECK(tensor.shape() == Shape{4, 2, 7, 7});
      if (name == "bn1.num_batches_tracked") CHECK(tensor.shape() == Shape{});
      if (name == "fc.weight") CHECK(tensor.shape() == Shape{3, 32});
    }
  }

  TEST_CASE("a checkpoint that does not fit is explained and changes nothing") {
    const TemporaryFolder folder;
    save_state(folder / "resnet", small_resnet(1, 3, 1)->state());
    models::ModelOptions o;
    o.height = o.width = 32, o.outputs = 3;
    const auto tiny = models::make_model("tinyvgg", o);
    const auto before = bits_of(tiny->state());
    const std::string message = error_of([&] { load_state(folder / "resnet", tiny->state()); });
    CHECK(contains(message, (folder / "resnet").string()));
    CHECK(contains(message, "of another model"));
    CHECK(contains(message, "missing conv_block_1.0.weight 10x1x3x3"));
    CHECK(contains(message, "more"));
    CHECK(bits_of(tiny->state()) == before);

    // One class more: the head alone does not fit.
    const auto other = small_resnet(1, 4, 2);
    const auto other_before = bits_of(other->state());
    const std::string head = error_of([&] { load_state(folder / "resnet", other->state()); });
    CHECK(contains(head, "fc.weight is 3x32 in the file, 4x32 in the model"));
    CHECK(contains(head, "fc.bias is 3 in the file, 4 in the model"));
    CHECK(!contains(head, "conv1"));
    CHECK(bits_of(other->state()) == other_before);
  }

  TEST_CASE("left-over entries and wrong dtypes are errors") {
    const TemporaryFolder folder;
    const auto model = small_resnet(1, 3, 1);
    Named tensors;
    for (const StateEntry& entry : model->state())
      tensors.emplace_back(entry.name, to_torch_layout(entry.tensor, entry.layout));
    tensors.emplace_back("fc.extra", Tensor::zeros({2}));
    write_safetensors(folder / "x", tensors);
    CHECK(contains(error_of([&] { load_state(folder / "x", model->state()); }),
                   "unexpected fc.extra 2"));
    tensors.back() = {"unused", Tensor::zeros({2})};
    for (auto& [name, tensor] : tensors)
      if (name == "bn1.weight") tensor = Tensor::zeros({4}, DType::i64);
    write_safetensors(folder / "y", tensors);
    CHECK(contains(error_of([&] { load_state(folder / "y", model->state()); }),
                   "bn1.weight is int64 in the file, float32 in the model"));
  }

  TEST_CASE("float64 weights load into a float32 model and back") {
    const TemporaryFolder folder;
    const auto wide = small_resnet(1, 3, 1);
    wide->to(DType::f64);
    save_state(folder / "x", wide->state());
    const auto narrow = small_resnet(1, 3, 2);
    load_state(folder / "x", narrow->state());
    CHECK(bits_of(narrow->state()) == bits_of(small_resnet(1, 3, 1)->state()));
  }

  TEST_CASE("num_batches_tracked may be missing") {
    const TemporaryFolder folder;
    const auto model = small_resnet(1, 3, 1);
    std::vector<StateEntry> state = model->state();
    std::erase_if(
        state, [](const StateEntry& entry) { return entry.name.ends_with("num_batches_tracked"); });
    save_state(folder / "x", state);
    const auto other = small_resnet(1, 3, 2);
    load_state(folder / "x", other->state());
    CHECK(bits_of(other->state()) == bits_of(model->state()));
  }

  TEST_CASE("an RGB stem is summed for a model with one channel") {
    const TemporaryFolder folder;
    const auto rgb = small_resnet(3, 2, 1);
    save_state(folder / "x", rgb->state());
    const auto grey = small_resnet(1, 2, 2);
    CHECK(contains(error_of([&] {
                     load_state(folder / "x", grey->state(), {"", /*sum_stem=*/false});
                   }),
                   "conv1.weight is 4x3x7x7 in the file, 4x1x7x7 in the model"));
    load_state(folder / "x", grey->state());
    // An image of three equal channels and its one channel give the same numbers.
    Generator generator(12);
    std::vector<float> one(40 * 40), three;
    for (float& v : one) v = static_cast<float>(generator.normal());
    for (const float v : one) three.insert(three.end(), 3, v);
    rgb->train(false);
    grey->train(false);
    const NoGrad no_grad;
    const auto a = (*rgb)(Tensor::from(three, {1, 40, 40, 3})).to_vector<float>();
    const auto b = (*grey)(Tensor::from(one, {1, 40, 40, 1})).to_vector<float>();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-4));
    // No other number of channels is summed.
    const auto stereo = small_resnet(2, 2, 2);
    CHECK(contains(error_of([&] { load_state(folder / "x", stereo->state()); }), "4x2x7x7"));
  }

  TEST_CASE("a new head keeps its initial weights, the rest is loaded") {
    const TemporaryFolder folder;
    const auto source = small_resnet(1, 1000, 1);
    save_state(folder / "x", source->state());
    const auto target = small_resnet(1, 4, 2);
    const auto fresh = bits_of(small_resnet(1, 4, 2)->state());
    LoadOptions options;
    options.reset_prefix = "fc.";
    load_state(folder / "x", target->state(), options);
    const auto loaded = bits_of(target->state()), original = bits_of(source->state());
    for (const auto& [name, bits] : loaded) {
      const auto& shown_name = name;  // clang 14 cannot capture a structured binding
      INFO(shown_name);
      CHECK(bits == (name.starts_with("fc.") ? fresh : original).at(name));
    }
    // A head that fits is loaded.
    const auto same = small_resnet(1, 1000, 2);
    load_state(folder / "x", same->state(), options);
    CHECK(bits_of(same->state()) == original);
    // A file without any head will do, and one whose body does not fit will not.
    std::vector<StateEntry> body = source->state();
    std::erase_if(body, [](const StateEntry& entry) { return entry.name.starts_with("fc."); });
    save_state(folder / "body", body);
    load_state(folder / "body", target->state(), options);
    CHECK(find(target->state(), "fc.bias").tensor.size() == 4);
    body.pop_back();
    body.pop_back();
    save_state(folder / "less", body);
    CHECK(contains(error_of([&] { load_state(folder / "less", target->state(), options); }),
                   "missing layer4.0.downsample.1.running_var 32"));
  }
}

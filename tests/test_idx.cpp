// The importer of IDX files: gzipped and not, and wrong input.
#include <doctest/doctest.h>
#include <zlib.h>

#include "data/dataset.h"
#include "data/files.h"
#include "data/idx.h"
#include "engine/random.h"
#include "tests/data_files.h"
#include "tests/temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::contains;
using etude::testing::message;
using etude::testing::TemporaryFolder;
using etude::testing::write;

namespace fs = std::filesystem;

namespace {

std::string idx_bytes(const std::vector<int>& dims, std::size_t elements, unsigned char type = 8) {
  std::string bytes{'\0', '\0', static_cast<char>(type), static_cast<char>(dims.size())};
  for (const int dim : dims)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(dim >> shift & 255);
  for (std::size_t i = 0; i < elements; ++i) bytes += static_cast<char>(i % 7);
  return bytes;
}

void write_gzip(const fs::path& path, const std::string& bytes) {
  const gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
          static_cast<int>(bytes.size()));
  REQUIRE(gzclose(file) == Z_OK);
}

}  // namespace

TEST_SUITE("data.idx") {
  TEST_CASE("train and t10k, gzipped or not; names of the classes") {
    const TemporaryFolder root;
    const fs::path folder = root.path() / "Fashion-MNIST/raw";
    fs::create_directories(folder);
    write(folder / "train-images-idx3-ubyte", idx_bytes({4, 2, 3}, 24));
    write_gzip(folder / "train-labels-idx1-ubyte.gz", idx_bytes({4}, 4));
    const Dataset train_only = load_dataset("idx", {root.path()});
    REQUIRE(train_only.items.size() == 4);
    CHECK(train_only.items[3].split.empty());
    CHECK(contains(train_only.notes.at(0), "no t10k-images"));

    write_gzip(folder / "t10k-images-idx3-ubyte.gz", idx_bytes({2, 2, 3}, 12));
    write(folder / "t10k-labels.idx1-ubyte", idx_bytes({2}, 2));
    const Dataset data = load_dataset("idx", {root.path()});
    REQUIRE(data.items.size() == 6);
    CHECK(data.images.height == 2);
    CHECK(data.images.width == 3);
    CHECK(data.images.pixels.size() == 36);
    CHECK(data.items[3].label == 3);
    CHECK(data.items[3].split == "train");
    CHECK(data.items[4].split == "test");
    CHECK(data.items[4].image == 4);
    CHECK(data.items[4].id == "idx/t10k/0");
    CHECK(data.classes.at(9) == "Ankle boot");
    const Dataset again = load_dataset("auto", {root.path()});
    CHECK(again.kind == "idx");

    const TemporaryFolder digits;
    write(digits / "train-images.idx3-ubyte", idx_bytes({10, 1, 1}, 10));
    write(digits / "train-labels.idx1-ubyte", idx_bytes({10}, 10));
    CHECK(load_dataset("idx", {digits.path()}).classes.at(3) == "3");
  }

  TEST_CASE("damage is told: header, cut, surplus, gzip, counts, sizes") {
    const TemporaryFolder root;
    const fs::path file = root / "x";
    const auto read = [&] { read_idx(file, 3); };
    const std::string good = idx_bytes({4, 2, 3}, 24);
    write(file, good);
    CHECK(message(read).empty());
    write(file, "");
    CHECK(contains(message(read), "shorter than an IDX header"));
    write(file, good.substr(0, 10));
    CHECK(contains(message(read), "shorter than an IDX header"));
    write(file, good.substr(0, good.size() - 1));
    CHECK(contains(message(read), "cut short: 23 of 24 bytes"));
    write(file, good + "x");
    CHECK(contains(message(read), "more bytes follow"));
    write(file, idx_bytes({4, 2, 3}, 24, 13));
    CHECK(contains(message(read), "expected 00 00 08 03"));
    write(file, idx_bytes({40}, 40));
    CHECK(contains(message(read), "expected 00 00 08 03"));
    write(file, idx_bytes({4, 0, 3}, 0));
    CHECK(contains(message(read), "dimension 1 is 0"));
    write(file, idx_bytes({65536, 65536, 65536}, 0));
    CHECK(contains(message(read), "less than 2^31 elements"));
    write(file, idx_bytes({2147483647, 1, 1}, 5));
    CHECK(contains(message(read), "cut short: 5 of 2147483647"));

    write_gzip(file, idx_bytes({40, 20, 30}, 24000));
    std::string packed = read_file(file);
    CHECK(message(read).empty());
    write(file, packed.substr(0, packed.size() / 2));
    CHECK(contains(message(read), "damaged gzip data"));
    packed[packed.size() / 2] ^= 0x55;
    write(file, packed);
    CHECK(contains(message(read), "gzip"));

    const fs::path folder = root / "set";
    write(folder / "train-images-idx3-ubyte", good);
    CHECK(contains(message([&] { load_dataset("idx", {folder}); }), "no train-labels"));
    write(folder / "train-labels-idx1-ubyte", idx_bytes({3}, 3));
    CHECK(contains(message([&] { load_dataset("idx", {folder}); }), "has 4 images"));
    write(folder / "train-labels-idx1-ubyte", idx_bytes({4}, 4));
    write(folder / "t10k-images-idx3-ubyte", idx_bytes({1, 3, 3}, 9));
    write(folder / "t10k-labels-idx1-ubyte", idx_bytes({1}, 1));
    CHECK(contains(message([&] { load_dataset("idx", {folder}); }), "images of 3x3"));
    CHECK(contains(message([&] { load_dataset("idx", {root / "none"}); }), "no such folder"));
  }

  TEST_CASE("any bytes give an array or an Error") {
    const TemporaryFolder root;
    const fs::path file = root / "x";
    write_gzip(file, idx_bytes({4, 5, 6}, 120));
    const std::string seeds[2] = {idx_bytes({4, 5, 6}, 120), read_file(file)};
    Generator random(11);
    int refused = 0;
    for (int round = 0; round < 400; ++round) {
      std::string bytes = seeds[round % 2];
      for (Index n = 1 + random.below(3); n > 0; --n) {
        const auto at = static_cast<std::size_t>(random.below(Index(bytes.size())));
        bytes[at] = static_cast<char>(random.below(256));
      }
      if (random.below(3) == 0) bytes.resize(static_cast<std::size_t>(random.below(150)));
      write(file, bytes);
      try {
        const IdxArray array = read_idx(file, 3);
        std::size_t elements = 1;
        for (const int dim : array.dims) elements *= static_cast<std::size_t>(dim);
        CHECK(array.bytes.size() == elements);
      } catch (const Error&) {
        ++refused;
      }
    }
    CHECK(refused > 80);
  }
}

// The importer of folders: a folder a class, layouts, and wrong input.
#include <doctest/doctest.h>

#include "data/dataset.h"
#include "data/files.h"
#include "tests/data_files.h"
#include "tests/temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::contains;
using etude::testing::message;
using etude::testing::TemporaryFolder;
using etude::testing::write;
using etude::testing::write_tone;

namespace fs = std::filesystem;

TEST_SUITE("data.folder") {
  TEST_CASE("a folder a class, in natural order; names with spaces; other files are passed over") {
    const TemporaryFolder root;
    for (const char* file :
         {"10 - Fire crackling/a.wav", "2 - Rain/b 1.wav", "2 - Rain/deep/c.wav"})
      write_tone(root / file, 0.1);
    write(root / "2 - Rain/notes.txt", "x");
    write(root / "empty/readme.txt", "x");
    write(root / ".git/hidden.wav", "x");
    write(root / "groups.csv", "x");
    const Dataset data = load_dataset("folder", {root.path()});
    CHECK(data.classes == std::vector<std::string>{"2 - Rain", "10 - Fire crackling"});
    REQUIRE(data.items.size() == 3);
    CHECK(data.items[0].id == root.path().filename().string() + "/2 - Rain/b 1.wav");
    CHECK(data.items[0].label == 0);
    CHECK(data.items[1].label == 0);
    CHECK(data.items[2].label == 1);
    CHECK(fs::exists(data.items[2].file));
    CHECK(data.warnings.empty());
    CHECK_FALSE(data.has_affect());
  }

  TEST_CASE("groups: split, free columns, quoted names, what is missing or not listed") {
    const TemporaryFolder root;
    for (const char* file : {"a/1.wav", "a/2, 3.wav", "b/4.wav", "b/5.wav"})
      write_tone(root / file, 0.1);
    DatasetOptions options;
    options.groups = root / "groups.csv";
    write(options.groups,
          "speaker,file,split\nanna,a/1.wav,train\nbert,\"a/2, 3.wav\",validation\n,./b/4.wav,\n"
          "carl,b/9.wav,test\n");
    const Dataset data = load_dataset("folder", {root.path()}, options);
    REQUIRE(data.items.size() == 3);
    CHECK(data.items[0].split == "train");
    CHECK(data.items[0].columns.at("speaker") == "anna");
    CHECK(data.items[1].split == "val");
    CHECK(data.items[2].split.empty());
    REQUIRE(data.warnings.size() == 2);
    CHECK(contains(data.warnings[0], "does not list are left out: b/5.wav"));
    CHECK(contains(data.warnings[1], "lists are not there: b/9.wav"));

    const auto load = [&] { load_dataset("folder", {root.path()}, options); };
    write(options.groups, "name,split\na/1.wav,train\n");
    CHECK(contains(message(load), "no column \"file\""));
    write(options.groups, "file,split\na/1.wav,tset\n");
    CHECK(contains(message(load), "groups.csv:2: split is \"tset\"; expected train, val or test"));
    write(options.groups, "file\na/1.wav\na/1.wav\n");
    CHECK(contains(message(load), "listed twice"));
    write(options.groups, "file\nother/1.wav\n");
    CHECK(contains(message(load), "none of its audio files is listed"));
    CHECK(contains(message([&] { load_dataset("deam", {root.path()}, options); }),
                   "goes with the kind folder"));
  }

  TEST_CASE("several roots: classes of one name are one; a groups file may cover all") {
    const TemporaryFolder folder;
    for (const char* file : {"one/cat/1.wav", "one/dog/1.wav", "two/ant/1.wav", "two/cat/2.wav"})
      write_tone(folder / file, 0.1);
    DatasetOptions options;
    options.groups = folder / "groups.csv";
    write(options.groups,
          "file,fold\ncat/1.wav,1\ndog/1.wav,2\nant/1.wav,1\ncat/2.wav,2\nx/0.wav,1\n");
    const Dataset data = load_dataset("folder", {folder / "one", folder / "two"}, options);
    CHECK(data.classes == std::vector<std::string>{"ant", "cat", "dog"});
    REQUIRE(data.items.size() == 4);
    for (const Item& item : data.items)
      CHECK(item.file.parent_path().filename() == data.classes.at(item.label));
    REQUIRE(data.warnings.size() == 1);
    CHECK(contains(data.warnings[0], "not there: x/0.wav"));
  }

  TEST_CASE("nothing to read") {
    const TemporaryFolder root;
    write(root / "a/x.txt", "x");
    CHECK(contains(message([&] { load_dataset("folder", {root.path()}); }),
                   "no folder with audio files in it"));
    write(root / "a/song.m4a", "x");
    write_tone(root / "b/1.wav", 0.1);
    const Dataset data = load_dataset("folder", {root.path()});
    CHECK(data.classes == std::vector<std::string>{"b"});
    CHECK(contains(data.warnings.at(0), "format that cannot be read are left out"));
    CHECK(contains(data.warnings.at(0), "a/song.m4a"));
  }

  TEST_CASE("natural order is one") {
    const std::vector<std::string> sorted = {"",  "1",  "01",  "2",   "10",
                                             "a", "a1", "a2b", "a10", "b"};
    for (std::size_t i = 0; i < sorted.size(); ++i)
      for (std::size_t j = 0; j < sorted.size(); ++j) {
        const bool zeros = (i == 1 && j == 2) || (i == 2 && j == 1);  // equal but for the zero
        if (!zeros) CHECK(natural_less(sorted[i], sorted[j]) == (i < j));
      }
    CHECK(natural_less("1", "01") != natural_less("01", "1"));
  }
}

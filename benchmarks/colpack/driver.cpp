// Times ColPack on one pattern, for benchmarks/coloring.py.
//
// Usage: driver PATTERN PROBLEM ORDER [PROBLEM ORDER ...]
//
// PATTERN is a binary file: rows, columns and entries as 64-bit integers, then the compressed sparse row arrays indptr
// and indices as 32-bit integers.  PROBLEM is column, row, star, acyclic or bidirectional; ORDER is one of ColPack's
// names, such as NATURAL.  One line per problem: its name, the order, the number of colors, seconds of processor time.

#include <ColPack/ColPackHeaders.h>

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

struct Pattern {
    std::int64_t rows = 0, columns = 0, entries = 0;
    std::vector<unsigned int> storage;  // per row its length, then its columns
    std::vector<unsigned int*> lines;
};

Pattern read(const char* path) {
    Pattern pattern;
    std::ifstream file(path, std::ios::binary);
    auto fetch = [&file](void* into, std::size_t bytes) { file.read(static_cast<char*>(into), static_cast<std::streamsize>(bytes)); };
    fetch(&pattern.rows, 8);
    fetch(&pattern.columns, 8);
    fetch(&pattern.entries, 8);
    std::vector<std::int32_t> indptr(pattern.rows + 1), indices(pattern.entries);
    fetch(indptr.data(), 4 * indptr.size());
    fetch(indices.data(), 4 * indices.size());
    if (!file) {
        std::cerr << "cannot read " << path << "\n";
        std::exit(2);
    }
    pattern.storage.reserve(pattern.rows + pattern.entries);
    for (std::int64_t i = 0; i < pattern.rows; ++i) {
        pattern.lines.push_back(pattern.storage.data() + pattern.storage.size());
        pattern.storage.push_back(indptr[i + 1] - indptr[i]);
        pattern.storage.insert(pattern.storage.end(), indices.begin() + indptr[i], indices.begin() + indptr[i + 1]);
    }
    return pattern;
}

template <class Work>
void report(const std::string& problem, const std::string& order, Work work) {
    std::streambuf* chatter = std::cout.rdbuf(nullptr);  // ColPack comments on its work
    const std::clock_t start = std::clock();
    const int colors = work();
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::cout.rdbuf(chatter);
    std::printf("%s %s %d %.6f\n", problem.c_str(), order.c_str(), colors, seconds);
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::cerr << "usage: driver PATTERN PROBLEM ORDER [PROBLEM ORDER ...]\n";
        return 2;
    }
    Pattern pattern = read(argv[1]);
    const int rows = static_cast<int>(pattern.rows), columns = static_cast<int>(pattern.columns);
    for (int k = 2; k + 1 < argc; k += 2) {
        const std::string problem = argv[k], order = argv[k + 1];
        if (problem == "column" || problem == "row") {
            ColPack::BipartiteGraphPartialColoringInterface graph(SRC_MEM_ADOLC, pattern.lines.data(), rows, columns);
            const std::string variant = (problem == "column" ? "COLUMN" : "ROW") + std::string("_PARTIAL_DISTANCE_TWO");
            report(problem, order, [&] {
                graph.PartialDistanceTwoColoring(order, variant);
                return problem == "column" ? graph.GetRightVertexColorCount() : graph.GetLeftVertexColorCount();
            });
        } else if (problem == "star" || problem == "acyclic") {
            ColPack::GraphColoringInterface graph(SRC_MEM_ADOLC, pattern.lines.data(), rows);
            report(problem, order, [&] {
                graph.Coloring(order, problem == "star" ? "STAR" : "ACYCLIC");
                return graph.GetVertexColorCount();
            });
        } else if (problem == "bidirectional") {
            ColPack::BipartiteGraphBicoloringInterface graph(SRC_MEM_ADOLC, pattern.lines.data(), rows, columns);
            report(problem, order, [&] {
                graph.Bicoloring(order, "IMPLICIT_COVERING__STAR_BICOLORING");
                return graph.GetVertexColorCount();
            });
        } else {
            std::cerr << "unknown problem " << problem << "\n";
            return 2;
        }
    }
}

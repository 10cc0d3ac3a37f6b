// A C# compiler with the ordinary csc command line, over the public Roslyn API.
//
// The private toolchain has the two Roslyn assemblies but no compiler program; this is that program.
// Roslyn's own parser reads the options, so every csc option keeps its name and meaning; only
// analyzers and generators are left out, because the private toolchain has none to run.
//
// One option is our own: `-batch a.rsp b.rsp ...` compiles one response file after another in this
// process. Start-up and JIT cost two seconds, each further assembly a tenth of that.
//
// Written in C# 8: the compiler that builds it first is an older one.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;
using Microsoft.CodeAnalysis.Text;

namespace Ancm.Toolchain
{
    public static class Program
    {
        public static int Main(string[] args)
        {
            var references = new ReferenceCache();
            if (args.Length == 0 || args[0] != "-batch")
            {
                return new Compiler(references).Run(args) ? 0 : 1;
            }

            var failed = 0;
            foreach (var responseFile in args.Skip(1))
            {
                var clock = Stopwatch.StartNew();
                var succeeded = new Compiler(references).Run(new[] { "@" + responseFile });
                // The caller reads these lines to learn which of the projects failed.
                Console.Out.WriteLine(
                    "{0} {1} {2}", succeeded ? "ok" : "failed", clock.ElapsedMilliseconds, responseFile);
                failed += succeeded ? 0 : 1;
            }

            return failed == 0 ? 0 : 1;
        }
    }

    /// <summary>
    /// Metadata that stays loaded across a batch: the frameworks are three hundred files, the same
    /// for every project. A project's own output is asked for only after it has been written.
    /// </summary>
    internal sealed class ReferenceCache
    {
        private readonly Dictionary<string, PortableExecutableReference> _byPath =
            new Dictionary<string, PortableExecutableReference>();

        public MetadataReference Get(string path, MetadataReferenceProperties properties)
        {
            if (!_byPath.TryGetValue(path, out var reference))
            {
                reference = MetadataReference.CreateFromFile(path);
                _byPath.Add(path, reference);
            }

            return reference.WithProperties(properties);
        }
    }

    /// <summary>One compilation: a command line in, an assembly and its symbols out.</summary>
    internal sealed class Compiler
    {
        private readonly ReferenceCache _references;
        private int _errors;

        public Compiler(ReferenceCache references)
        {
            _references = references;
        }

        public bool Run(string[] args)
        {
            var commandLine =
                CSharpCommandLineParser.Default.Parse(args, Directory.GetCurrentDirectory(), null);
            Report(commandLine.Errors);
            if (_errors > 0)
            {
                return false;
            }

            var references = ResolveReferences(commandLine);
            if (_errors > 0)
            {
                return false;
            }

            var output = OutputPath(commandLine);
            var compilation = CSharpCompilation.Create(
                commandLine.CompilationName ?? Path.GetFileNameWithoutExtension(output),
                ParseSources(commandLine),
                references,
                CompilationOptions(commandLine));
            return Emit(commandLine, compilation, output);
        }

        private static string OutputPath(CSharpCommandLineArguments commandLine)
        {
            var name = commandLine.OutputFileName
                ?? Path.GetFileNameWithoutExtension(commandLine.SourceFiles[0].Path) + ".dll";
            return Path.Combine(commandLine.OutputDirectory, name);
        }

        private static CSharpCompilationOptions CompilationOptions(CSharpCommandLineArguments commandLine)
        {
            return commandLine.CompilationOptions
                .WithMetadataReferenceResolver(null)
                .WithXmlReferenceResolver(XmlFileResolver.Default)
                .WithSourceReferenceResolver(new SourceFileResolver(
                    commandLine.SourcePaths, commandLine.BaseDirectory, commandLine.PathMap));
        }

        private static List<SyntaxTree> ParseSources(CSharpCommandLineArguments commandLine)
        {
            // Without an XML file asked for, comments are still parsed but nothing is said about them.
            var options = commandLine.ParseOptions.WithDocumentationMode(
                commandLine.DocumentationPath == null
                    ? DocumentationMode.Parse
                    : DocumentationMode.Diagnose);
            return commandLine.SourceFiles
                .AsParallel()
                .AsOrdered()
                .Select(source =>
                {
                    using (var stream = File.OpenRead(source.Path))
                    {
                        var text = SourceText.From(
                            stream, commandLine.Encoding ?? Encoding.UTF8, commandLine.ChecksumAlgorithm);
                        return CSharpSyntaxTree.ParseText(text, options, source.Path);
                    }
                })
                .ToList();
        }

        private List<MetadataReference> ResolveReferences(CSharpCommandLineArguments commandLine)
        {
            var resolved = new List<MetadataReference>();
            var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
            foreach (var reference in commandLine.MetadataReferences)
            {
                var path = Path.GetFullPath(
                    Path.Combine(commandLine.BaseDirectory, reference.Reference));
                if (!File.Exists(path))
                {
                    Error("CS0006: Metadata file '" + reference.Reference + "' could not be found");
                }
                else if (names.Add(Path.GetFileName(path)))
                {
                    // The first file of a name wins, as it does when the runtime resolves assemblies.
                    resolved.Add(_references.Get(path, reference.Properties));
                }
            }

            return resolved;
        }

        private bool Emit(
            CSharpCommandLineArguments commandLine, CSharpCompilation compilation, string output)
        {
            var pdbPath = commandLine.PdbPath ?? Path.ChangeExtension(output, ".pdb");
            using (var assembly = new MemoryStream())
            using (var symbols = commandLine.EmitPdb ? new MemoryStream() : null)
            using (var comments = commandLine.DocumentationPath == null ? null : new MemoryStream())
            {
                var result = compilation.Emit(
                    assembly,
                    symbols,
                    comments,
                    manifestResources: commandLine.ManifestResources,
                    options: EmitOptions(commandLine, pdbPath));
                Report(result.Diagnostics);
                if (!result.Success || _errors > 0)
                {
                    return false;
                }

                // Nothing is written before everything is known to be good.
                Write(output, assembly);
                Write(pdbPath, symbols);
                Write(commandLine.DocumentationPath, comments);
                return true;
            }
        }

        private static EmitOptions EmitOptions(CSharpCommandLineArguments commandLine, string pdbPath)
        {
            if (!commandLine.EmitPdb)
            {
                return commandLine.EmitOptions.WithPdbFilePath(null);
            }

            // Of the symbols' path only the name is kept, so that equal sources give equal bytes.
            return commandLine.EmitOptions
                .WithDebugInformationFormat(DebugInformationFormat.PortablePdb)
                .WithPdbFilePath(Path.GetFileName(pdbPath));
        }

        private static void Write(string path, MemoryStream content)
        {
            if (content == null)
            {
                return;
            }

            Directory.CreateDirectory(Path.GetDirectoryName(path));
            File.WriteAllBytes(path, content.ToArray());
        }

        private void Report(IEnumerable<Diagnostic> diagnostics)
        {
            // In the order of the text; the compiler works on several files at once.
            var inOrder = diagnostics
                .OrderBy(diagnostic => diagnostic.Location.GetLineSpan().Path)
                .ThenBy(diagnostic => diagnostic.Location.SourceSpan.Start);
            foreach (var diagnostic in inOrder)
            {
                if (diagnostic.IsSuppressed || diagnostic.Severity < DiagnosticSeverity.Warning)
                {
                    continue;
                }

                _errors += diagnostic.Severity == DiagnosticSeverity.Error ? 1 : 0;
                Console.Error.WriteLine(CSharpDiagnosticFormatter.Instance.Format(diagnostic));
            }
        }

        private void Error(string message)
        {
            _errors++;
            Console.Error.WriteLine("error " + message);
        }
    }
}

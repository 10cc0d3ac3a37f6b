// Where the application's code comes from.

using System.Reflection;

namespace Site;

internal static class Code
{
    public static Task AssemblyLocation(HttpContext context)
        => context.Response.WriteAsync(typeof(Code).Assembly.Location);

    /// <summary>As applications look for plug-ins: every assembly beside the application is loaded.</summary>
    public static Task LoadAll(HttpContext context)
    {
        var files = Directory.GetFiles(AppContext.BaseDirectory, "*.dll");
        var found = files.Select(Assembly.LoadFrom).SelectMany(assembly => assembly.GetTypes());
        return context.Response.WriteAsync($"{files.Length > 0} {found.Contains(typeof(Code))}");
    }

    /// <summary>Reads a file beside the assembly, as some do.</summary>
    public static Task BesideAssembly(HttpContext context)
    {
        var folder = Path.GetDirectoryName(typeof(Code).Assembly.Location)!;
        return context.Response.WriteAsync(File.ReadAllText(Path.Combine(folder, context.Request.Query["name"].ToString())));
    }
}

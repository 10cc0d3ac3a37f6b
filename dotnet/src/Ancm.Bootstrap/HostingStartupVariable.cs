using System;

namespace Ancm.Bootstrap;

/// <summary>
/// The legacy <c>WebHostBuilder</c> raises no event while it builds, but loads the assemblies that
/// this variable lists. Children that the app starts would inherit it, so it goes again with the
/// first host that was built.
/// </summary>
internal static class HostingStartupVariable
{
    private const string Name = "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES";

    private static string? s_before;
    private static string? s_during;

    internal static void Add(string assembly)
    {
        s_before = Environment.GetEnvironmentVariable(Name);
        s_during = string.IsNullOrEmpty(s_before) ? assembly : s_before + ";" + assembly;
        Environment.SetEnvironmentVariable(Name, s_during);
    }

    internal static void Remove()
    {
        // Somebody else may have changed it meanwhile; that value is not ours to undo.
        if (s_during is not null && Environment.GetEnvironmentVariable(Name) == s_during)
        {
            Environment.SetEnvironmentVariable(Name, s_before);
        }

        s_during = null;
    }
}

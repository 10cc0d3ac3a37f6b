using System;
using System.Linq;

namespace Ancm.Backend;

/// <summary>
/// The variables by which the host reaches us. They go before the app runs: processes that it
/// starts would inherit them, and another application would take the socket.
/// </summary>
internal static class Variables
{
    private const string Socket = "ANCM_SOCKET";
    private const string Link = "ANCM_LINK";
    private const string Addresses = "ANCM_ADDRESSES";
    private const string Base = "ANCM_BASE_DIRECTORY";
    private const string KeepsLimit = "ANCM_BODY_LIMIT";
    private const string Hooks = "DOTNET_STARTUP_HOOKS";
    private const string Startups = "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES";

    private static readonly string s_own = typeof(Variables).Assembly.Location;
    private static readonly string s_name = typeof(Variables).Assembly.GetName().Name!;

    /// <summary>
    /// The socket to listen on, if this process is the one that was meant, that for links beside it, and
    /// whether the limit of request bodies is the server's affair; and how clients reach the site.
    /// </summary>
    internal static (string? Socket, string? Link, bool KeepsLimit, string[] Addresses) Take()
    {
        var path = Environment.GetEnvironmentVariable(Socket);
        var keepsLimit = Environment.GetEnvironmentVariable(KeepsLimit) == "server";
        var link = Environment.GetEnvironmentVariable(Link);
        var addresses = (Environment.GetEnvironmentVariable(Addresses) ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries);
        Environment.SetEnvironmentVariable(Socket, null);
        Environment.SetEnvironmentVariable(Link, null);
        Environment.SetEnvironmentVariable(KeepsLimit, null);
        Environment.SetEnvironmentVariable(Addresses, null);
        Without(Hooks, ':', s_own);
        if (string.IsNullOrEmpty(path) && !keepsLimit)
        {
            return (null, null, false, []);
        }

        HostIsOver();
        return (string.IsNullOrEmpty(path) ? null : path, string.IsNullOrEmpty(link) ? null : link, keepsLimit, addresses);
    }

    /// <summary>
    /// The app's folder, if its assembly was copied elsewhere. Who looks for files beside the app means
    /// the folder, not the copy.
    /// </summary>
    internal static void TakeBase()
    {
        if (Environment.GetEnvironmentVariable(Base) is { Length: > 0 } folder)
        {
            Environment.SetEnvironmentVariable(Base, null);
            AppDomain.CurrentDomain.SetData("APP_CONTEXT_BASE_DIRECTORY", folder);
        }
    }

    /// <summary>The host is built: who is started from now on shall not load us.</summary>
    internal static void HostIsBuilt() => Without(Startups, ';', s_name);

    /// <summary>
    /// One may follow that is to load us. The legacy WebHostBuilder raises no event while it builds, but
    /// loads what is listed here.
    /// </summary>
    internal static void HostIsOver()
    {
        var startups = Environment.GetEnvironmentVariable(Startups);
        Environment.SetEnvironmentVariable(Startups, string.IsNullOrEmpty(startups) ? s_name : $"{startups};{s_name}");
    }

    private static void Without(string variable, char separator, string element)
    {
        if (Environment.GetEnvironmentVariable(variable) is not { } value)
        {
            return;
        }

        var others = value.Split(separator).Where(other => other != element);
        var rest = string.Join(separator, others);
        Environment.SetEnvironmentVariable(variable, rest.Length == 0 ? null : rest);
    }
}

using Microsoft.AspNetCore.Hosting;

using Ancm.Server.Native;

[assembly: HostingStartup(typeof(Ancm.Server.LegacyStartup))]

namespace Ancm.Server;

/// <summary>
/// Reaches <see cref="WebHostBuilder"/>, which raises no event. The generic host runs hosting
/// startups too, but before the app registers Kestrel; there the event does the work.
/// </summary>
public sealed class LegacyStartup : IHostingStartup
{
    /// <inheritdoc/>
    public void Configure(IWebHostBuilder builder)
    {
        // Deprecated by .NET 10; applications that use it still run there.
#pragma warning disable ASPDEPR004
        if (NativeApi.IsPresent && builder is WebHostBuilder)
#pragma warning restore ASPDEPR004
        {
            // Later its lifetime would hold up the end of the process.
            HostInjection.LeaveIfOver();
            builder.ConfigureServices(static services => HostInjection.Add(services));
        }
    }
}

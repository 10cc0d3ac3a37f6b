using System;
using System.Globalization;

using Microsoft.AspNetCore.Server.IIS;
using Microsoft.Extensions.Configuration;

namespace Ancm.Server;

/// <summary>The site as the host describes it in the <c>ASPNETCORE_IIS_*</c> variables.</summary>
internal sealed class IisEnvironment : IIISEnvironmentFeature
{
    private readonly IConfiguration _configuration;

    private IisEnvironment(IConfiguration configuration, Version version)
    {
        _configuration = configuration;
        IISVersion = version;
    }

    public Version IISVersion { get; }

    public string AppPoolId => Value("IIS_APP_POOL_ID");

    public string AppPoolConfigFile => Value("IIS_APP_POOL_CONFIG_FILE");

    public string AppConfigPath => Value("IIS_APP_CONFIG_PATH");

    public string ApplicationPhysicalPath => Value("IIS_PHYSICAL_PATH");

    public string ApplicationVirtualPath => Value("IIS_APPLICATION_VIRTUAL_PATH");

    public string ApplicationId => Value("IIS_APPLICATION_ID");

    public string SiteName => Value("IIS_SITE_NAME");

    public uint SiteId
        => uint.TryParse(Value("IIS_SITE_ID"), NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : 0;

    /// <summary>Null when the host does not say what it is, as under IIS.</summary>
    internal static IisEnvironment? From(IConfiguration configuration)
        => Version.TryParse(configuration["IIS_VERSION"], out var version) ? new(configuration, version) : null;

    private string Value(string name) => _configuration[name] ?? string.Empty;
}
